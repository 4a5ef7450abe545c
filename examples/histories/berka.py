"""The Berka bank, January 1993 to March 1994, as a history of events.

    python3 examples/histories/berka.py DATA_FOLDER OUT_FOLDER

DATA_FOLDER has trans_1993_1994.asc, disp.asc and loan.asc of the PKDD'99 challenge; it is only read. OUT_FOLDER gets
events.ndjson: the JSON form of tarim.event.v1, in the order in which the bank came to know of the events.

- The customer is the owner of the account (`c` and the client's number); each account has one.
- Every booking is a `transaction`. Its kind is what the bank says that it is for (k_symbol), else how it was done
  (operation), in the codes of rulebook/standards/codes/transaction_kind.csv.
- Every loan granted up to the last booking is a `loan_disbursed`. The money itself is on no account of the data: the
  bank paid it to somebody else. Only what was known when it was granted is told; the status, how it ended, is not.
- A booking UVER is also a `repayment_paid` of the account's loan. When it was due, nobody says: it has no `dpd`.

The data has days, no hours: an event happens, and is known, at the midnight (UTC) that begins its day. Bookings of a day
stay as the file has them, which is not always the order of their balances; no rule looks at the order within a day.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

MEMBER = "berka"

Fields = dict[str, str | int]
Row = dict[str, str]

# What a booking is for: it says more than how it was done.
PURPOSES = {
    "UROK": "interest",
    "SANKC. UROK": "penalty_interest",
    "SLUZBY": "fee",
    "SIPO": "utility",
    "POJISTNE": "insurance",
    "DUCHOD": "pension",
    "UVER": "loan_repayment",
}
OPERATIONS = {
    "VKLAD": "cash_in",
    "VYBER": "cash_out",
    "VYBER KARTOU": "cash_out",
    "PREVOD Z UCTU": "transfer_in",
    "PREVOD NA UCET": "transfer_out",
}
# Of a transfer it is not known whether it was a permanent order or asked for at the counter.
CHANNELS = {"VKLAD": "counter", "VYBER": "counter", "VYBER KARTOU": "atm"}
# What the bank books by itself, whatever the column of operations says.
OF_THE_BANK = {"interest", "penalty_interest", "fee"}


@dataclass
class Loan:
    """A loan, as far as it was known when it was granted, and how often it was paid so far."""

    loan_id: str
    granted: date
    amount_fen: int
    months: int
    instalment_fen: int
    paid: int = field(default=0)


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file of the challenge."""
    if not path.is_file():
        sys.exit(f"there is no {path}: DATA_FOLDER is to have the files of the PKDD'99 challenge")
    with path.open(encoding="latin-1", newline="") as file:
        yield from csv.DictReader(file, delimiter=";")


def day(text: str) -> date:
    """YYMMDD of the twentieth century."""
    return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))


def fen(text: str) -> int:
    """Crowns as hundredths."""
    return int(Decimal(text) * 100)


def event(event_id: str, customer: str, at: date, kind: str, fields: Fields) -> dict[str, object]:
    """An event that the bank knows of when it happens."""
    time = f"{at.isoformat()}T00:00:00Z"
    head = {"event_id": event_id, "member": MEMBER, "customer_id": customer, "happened_at": time, "known_at": time}
    return head | {kind: fields}


def kind_of(row: Row) -> str:
    """The code of what a booking is."""
    return PURPOSES.get(row["k_symbol"].strip()) or OPERATIONS[row["operation"]]


def transaction(row: Row) -> Fields:
    """The fields of a booking."""
    kind = kind_of(row)
    fields: Fields = {
        "account_id": row["account_id"],
        "direction": "C" if row["type"] == "PRIJEM" else "D",
        "amount_fen": fen(row["amount"]),
        "balance_fen": fen(row["balance"]),
        "kind": kind,
    }
    channel = "batch" if kind in OF_THE_BANK else CHANNELS.get(row["operation"])
    if channel:
        fields["channel"] = channel
    if row["account"].strip("0"):
        fields["counterparty"] = row["bank"] + row["account"]
    return fields


def repayment(row: Row, loan: Loan) -> Fields:
    """The fields of a payment of a loan."""
    loan.paid += 1
    return {"loan_id": loan.loan_id, "instalment": loan.paid, "amount_fen": fen(row["amount"])}


def pays(row: Row, loan: Loan) -> bool:
    """Whether a booking is an instalment of a loan: loan.asc rounds instalments to crowns."""
    if kind_of(row) != "loan_repayment" or day(row["date"]) < loan.granted:
        return False
    return abs(fen(row["amount"]) - loan.instalment_fen) <= 100


def history(data: Path) -> Iterator[tuple[date, dict[str, object]]]:
    """The events of the bank, not yet in order, each with its day."""
    owner = {r["account_id"]: f"c{r['client_id']}" for r in rows(data / "disp.asc") if r["type"] == "OWNER"}
    bookings = list(rows(data / "trans_1993_1994.asc"))
    last = max(day(row["date"]) for row in bookings)
    loans: dict[str, Loan] = {}
    for row in rows(data / "loan.asc"):
        granted = day(row["date"])
        if granted <= last:
            amount, instalment = fen(row["amount"]), fen(row["payments"])
            loan = Loan(row["loan_id"], granted, amount, int(row["duration"]), instalment)
            # An account has at most one loan.
            loans[row["account_id"]] = loan
            fields: Fields = {"loan_id": loan.loan_id, "amount_fen": amount, "term_months": loan.months}
            # Where the money went is not known: no account_id.
            yield granted, event(f"l{loan.loan_id}", owner[row["account_id"]], granted, "loan_disbursed", fields)
    for row in bookings:
        at, account = day(row["date"]), row["account_id"]
        yield at, event(f"t{row['trans_id']}", owner[account], at, "transaction", transaction(row))
        if account in loans and pays(row, loans[account]):
            paid = repayment(row, loans[account])
            yield at, event(f"r{row['trans_id']}", owner[account], at, "repayment_paid", paid)
    # The day is over: what waits for something that did not come is judged once more.
    end = last + timedelta(days=1)
    yield end, {"happened_at": f"{end.isoformat()}T00:00:00Z", "tick": {}}


def main(data: Path, out: Path) -> None:
    """Writes the history of a data folder to an out folder."""
    # Stable: loans come before the bookings of their day, and those stay as the file has them.
    events = sorted(history(data), key=lambda dated: dated[0])
    out.mkdir(parents=True, exist_ok=True)
    with (out / "events.ndjson").open("w", encoding="utf-8") as file:
        for _, written in events:
            file.write(json.dumps(written, separators=(",", ":")) + "\n")
    kinds = Counter(list(written)[-1] for _, written in events)
    print(f"{len(events)} events:", ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
