"""The sample of LDBC FinBench as a history of events.

    python3 examples/histories/finbench.py DATA_FOLDER OUT_FOLDER

DATA_FOLDER has the CSVs of the snapshot and `incremental/`; it is only read. OUT_FOLDER gets events.ndjson: the JSON form
of tarim.event.v1, in the order in which the events happened; each is known when it happens.

- The customer is the owner of the account: `p` and a person's number, or `c` and a company's. Nearly all accounts of
  `incremental/` are not in the snapshot, and nothing says whose they are: such an account is its own customer, `a` and
  its number.
- A transfer is two transactions: out of one owner's account, into the other's; so is a withdrawal, whose target is a
  card's account. The counterparty is the owner on the other side.
- A deposit of a loan is a `loan_disbursed`, a repayment a `repayment_paid`. Sign-ins, applications, guarantees, and
  accounts that are opened or deleted are kinds of this rulebook's own. Investments are left out.
- A delete (DeleteAccountWrite17, the only deletes there are) takes an account away with all its edges: what a test of a
  database needs. A bank forgets nothing, so here it is one more event, `account_change` closed.
- `isBlocked` has no time of its own: increments give it when a medium is made, so it counts as known from then on, and
  sign-ins say it. Of accounts and people it is left out, for whoever wants to compare alerts with it.

An event's id says where it comes from: file, line, and which side of it.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path

MEMBER = "finbench"

Fields = dict[str, str | int | bool]
Row = dict[str, str]
Event = dict[str, object]

# Where each relation stands: the snapshot, then what was inserted later. Columns bear other names in some.
TRANSFERS = (
    "AccountTransferAccount",
    "incremental/AddAccountTransferAccountWrite12",
    # Reads and writes in one: what they write is a transfer like any other.
    "incremental/AddAccountTransferAccountReadWrite1",
    "incremental/AddAccountTransferAccountReadWrite2",
)
WITHDRAWALS = ("AccountWithdrawAccount", "incremental/AddAccountWithdrawAccountWrite13")
DEPOSITS = ("LoanDepositAccount", "incremental/AddLoanDepositAccountWrite15")
REPAYMENTS = ("AccountRepayLoan", "incremental/AddAccountRepayLoanWrite14")
SIGN_INS = ("MediumSignInAccount", "incremental/AddMediumSigninAccountWrite16")
MEDIUMS = ("Medium", "incremental/AddMediumWrite3")
DELETES = ("incremental/DeleteAccountWrite17",)
# With the column of whoever applies or guarantees, and what its customers begin with.
APPLICATIONS = (
    ("PersonApplyLoan", "personId", "p"),
    ("CompanyApplyLoan", "companyId", "c"),
    ("incremental/AddPersonApplyLoanWrite6", "personId", "p"),
    ("incremental/AddCompanyApplyLoanWrite7", "companyId", "c"),
)
GUARANTEES = (
    ("PersonGuaranteePerson", "fromId", "p"),
    ("CompanyGuaranteeCompany", "fromId", "c"),
    ("incremental/AddPersonGuaranteePersonWrite10", "fromId", "p"),
    ("incremental/AddPersonGuaranteePersonReadWrite3", "fromId", "p"),
    ("incremental/AddCompanyGuaranteeCompanyWrite11", "fromId", "c"),
)
KINDS_OF_CUSTOMERS = {"p": "person", "c": "company"}


def fen(text: str) -> int:
    """An amount in hundredths, rounded: amounts of the snapshot have ten digits and more behind the point."""
    return round(Decimal(text) * 100)


def micros(text: str) -> int:
    """A time in microseconds since 1970: milliseconds in the increments, ISO 8601 without an offset else."""
    if text.isdigit():
        return int(text) * 1000
    seconds, _, fraction = text.partition(".")
    at = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000 + int(fraction.ljust(6, "0"))


class History:
    """Reads the files of a folder and makes events of them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.owner: dict[str, str] = {}
        for name, column, letter in (("PersonOwnAccount", "personId", "p"), ("CompanyOwnAccount", "companyId", "c")):
            self.owner |= {row["accountId"]: letter + row[column] for _, row in self.rows(name)}
        self.blocked = {
            row["mediumId"]: row["isBlocked"] == "true" for name in MEDIUMS for _, row in self.rows(name)
        }

    def rows(self, name: str) -> Iterator[tuple[str, Row]]:
        """The rows of a file, each with the id of its event."""
        path = self.data / f"{name}.csv"
        if not path.is_file():
            sys.exit(f"there is no {path}: DATA_FOLDER is to have the CSVs of FinBench's snapshot, and incremental/")
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.DictReader(file, delimiter="|"), start=2):
                yield f"{Path(name).name}:{line}", row

    def customer(self, account: str) -> str:
        """The owner of an account, or the account itself."""
        return self.owner.get(account, f"a{account}")

    def event(self, event_id: str, customer: str, row: Row, kind: str, fields: Fields) -> Event:
        """An event at the time of a row."""
        at = micros(row.get("createTime") or row["deleteTime"])
        head: Event = {"event_id": event_id, "member": MEMBER, "customer_id": customer, "happened_at": at}
        return head | {"known_at": at, kind: fields}

    def both_sides(self, names: tuple[str, ...], out: str, into: str) -> Iterator[Event]:
        """Money that goes from one account to another: two transactions."""
        for event_id, row in chain.from_iterable(map(self.rows, names)):
            source, target = row["fromId"], row["toId"]
            for side, direction, kind, own, other in (
                ("out", "D", out, source, target),
                ("in", "C", into, target, source),
            ):
                customer, counterparty = self.customer(own), self.customer(other)
                fields: Fields = {"account_id": own, "direction": direction, "amount_fen": fen(row["amount"])}
                fields |= {"kind": kind, "counterparty": counterparty}
                known = KINDS_OF_CUSTOMERS.get(counterparty[0])
                if customer == counterparty:
                    known = "self"
                if known:
                    fields["counterparty_kind"] = known
                yield self.event(f"{event_id}:{side}", customer, row, "transaction", fields)

    def loans(self) -> Iterator[Event]:
        """Applications, what was paid out, and what was paid back."""
        amounts = {row["loanId"]: row["loanAmount"] for _, row in self.rows("Loan")}
        for name, column, letter in APPLICATIONS:
            for event_id, row in self.rows(name):
                amount = row.get("loanAmount") or amounts[row["loanId"]]
                fields: Fields = {"loan_id": row["loanId"], "amount_fen": fen(amount)}
                yield self.event(event_id, letter + row[column], row, "loan_applied", fields)
        for kind, names in (("loan_disbursed", DEPOSITS), ("repayment_paid", REPAYMENTS)):
            for event_id, row in chain.from_iterable(map(self.rows, names)):
                account = row.get("accountId") or row["account"]
                fields = {"loan_id": row["loanId"], "amount_fen": fen(row["amount"]), "account_id": account}
                yield self.event(event_id, self.customer(account), row, kind, fields)

    def others(self) -> Iterator[Event]:
        """Sign-ins, guarantees, and accounts that come and go."""
        for event_id, row in chain.from_iterable(map(self.rows, SIGN_INS)):
            fields: Fields = {"account_id": row["accountId"], "medium": row["mediumId"]}
            # Most mediums of the increments are in no file: whether they are blocked is unknown.
            if row["mediumId"] in self.blocked:
                fields["medium_blocked"] = self.blocked[row["mediumId"]]
            yield self.event(event_id, self.customer(row["accountId"]), row, "sign_in", fields)
        for name, column, letter in GUARANTEES:
            for event_id, row in self.rows(name):
                fields = {"debtor": letter + row["toId"]}
                yield self.event(event_id, letter + row[column], row, "guarantee_given", fields)
        for change, names in (("opened", ("Account",)), ("closed", DELETES)):
            for event_id, row in chain.from_iterable(map(self.rows, names)):
                fields = {"account_id": row["accountId"], "change": change}
                yield self.event(event_id, self.customer(row["accountId"]), row, "account_change", fields)

    def events(self) -> Iterator[Event]:
        """All of them, not yet in order."""
        yield from self.both_sides(TRANSFERS, "transfer_out", "transfer_in")
        yield from self.both_sides(WITHDRAWALS, "withdrawal", "card_in")
        yield from self.loans()
        yield from self.others()


def main(data: Path, out: Path) -> None:
    """Writes the history of a data folder to an out folder."""
    # Stable: what a transfer takes out comes before what it brings in.
    events = sorted(History(data).events(), key=lambda event: int(str(event["known_at"])))
    # The last day is over: what waits for something that did not come is judged once more.
    events.append({"happened_at": micros("2023-01-01 00:00:00"), "tick": {}})
    out.mkdir(parents=True, exist_ok=True)
    with (out / "events.ndjson").open("w", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
    kinds = Counter(list(event)[-1] for event in events)
    print(f"{len(events)} events:", ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
