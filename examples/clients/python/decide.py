"""Asks a Tarim server for decisions: one, a stream of many, and one from the journal.

    python decide.py 127.0.0.1:50051 001 salary_loan '{"customer_id": "c0010000001",
        "id_number": "450102198903071239", "amount_fen": 5000000, "term_months": 12, "purpose": "travel",
        "guarantee_type": "credit"}'

Fields that the rulebook's standard `applications` marks `required` must be given. README.md says how to generate the
two modules that are imported first.
"""

import datetime
import json
import sys
import uuid

import grpc
from tarim.decision.v1 import decision_pb2 as pb
from tarim.decision.v1 import decision_pb2_grpc as rpc


def value(x):
    """A Python value as a field of an application."""
    match x:
        case bool():
            return pb.Value(bool_value=x)
        case int():
            return pb.Value(int_value=x)
        case float():
            return pb.Value(double_value=x)
        case datetime.datetime():
            message = pb.Value()
            message.timestamp_value.FromDatetime(x)
            return message
        case datetime.date():
            return pb.Value(date_value=x.isoformat())
        case str():
            return pb.Value(string_value=x)
    raise TypeError(f"{x!r} is no value of an application")


def request(member, product, application, request_id=None):
    """A request. Keep its id until it is answered: the same id gives the same decision, never a second one."""
    return pb.DecisionRequest(
        request_id=request_id or uuid.uuid4().hex,
        member=member,
        product=product,
        # What is null is not known, as what is left out.
        application={name: value(x) for name, x in application.items() if x is not None},
    )


def show(decision):
    print(pb.Outcome.Name(decision.outcome).removeprefix("OUTCOME_"), f"decision {decision.decision_id}")
    for reason in decision.reasons:
        print(f"  {pb.Effect.Name(reason.effect).removeprefix('EFFECT_'):8} {reason.id:8} {reason.zh} / {reason.en}")
    if decision.HasField("limit_fen"):
        print(f"  limit ¥{decision.limit_fen / 100:,.2f}, rate {decision.rate_ppm / 10_000:.2f} %")


def main(server, member, product, text):
    try:
        application = json.loads(text)
    except json.JSONDecodeError as error:
        sys.exit(f"the application is not JSON: {error}")

    with grpc.insecure_channel(server) as channel:
        service = rpc.DecisionServiceStub(channel)

        # One decision. With a deadline: past it, nothing is decided any more.
        first = request(member, product, application)
        try:
            decision = service.Decide(first, timeout=2)
        except grpc.RpcError as error:
            # Which field is wrong, or that there is no server.
            sys.exit(f"{server}: {error.code().name}: {error.details()}")
        show(decision)

        # The same request again, as after a lost connection: the first answer.
        assert service.Decide(first, timeout=2) == decision
        found = pb.GetDecisionRequest(member=member, request_id=first.request_id)
        assert service.GetDecision(found, timeout=2) == decision

        # Many: answers come in the order of the requests, errors in their place.
        many = [request(member, product, application) for _ in range(100)]
        for asked, answer in zip(many, service.DecideStream(iter(many))):
            assert answer.request_id == asked.request_id
            if answer.WhichOneof("result") == "error":
                print(answer.request_id, answer.error.message)
        print("100 more down one stream")

        # A mistake is told with the name of the field.
        try:
            service.QuoteRate(request(member, product, application | {"no_such_field": 1}), timeout=2)
        except grpc.RpcError as error:
            print("a mistake on purpose:", error.code().name, error.details())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
