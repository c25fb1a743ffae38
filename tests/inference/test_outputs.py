"""A host's answer, taken apart: every row gets its own cells, whatever their kind."""

import struct
from typing import Any

import pytest

from penstock.inference.outputs import Outputs, hand_out, unpack
from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket
from penstock.model.batch import Answer, TensorHead


def values(head: TensorHead, payload: bytes = b"") -> Any:
    return unpack((head,), memoryview(payload)).fields[0]


def test_several_columns_of_text_stay_with_their_rows() -> None:
    assert values(TensorHead("p", "string", (2, 2), ["a1", "b1", "a2", "b2"])) == [["a1", "b1"], ["a2", "b2"]]


@pytest.mark.parametrize(
    ("dtype", "code"),
    [
        ("float64", "d"),
        ("float32", "f"),
        ("float16", "e"),
        ("int64", "q"),
        ("int32", "i"),
        ("uint8", "B"),
        ("bool", "?"),
    ],
)
def test_numbers_of_every_dtype(dtype: Any, code: str) -> None:
    assert values(TensorHead("p", dtype, (3,)), struct.pack(f"<3{code}", 0, 1, 1)) == [0, 1, 1]
    assert values(TensorHead("p", dtype, (2, 1)), struct.pack(f"<2{code}", 0, 1)) == [[0], [1]]


def test_a_row_may_be_empty() -> None:
    assert values(TensorHead("p", "float64", (2, 0))) == [[], []]


def test_a_models_outputs_may_have_any_name() -> None:
    heads = (TensorHead("probabilities", "float64", (1, 2)), TensorHead("confidence", "int32", (1,)))
    outputs = unpack(heads, memoryview(struct.pack("<2di", 0.5, 0.75, 3)), outputs=2)
    assert (outputs.fields, outputs.confidence, outputs.probabilities) == ([[[0.5, 0.75]], [3]], None, None)


def test_tensors_follow_one_another() -> None:
    heads = (TensorHead("p", "int32", (2,)), TensorHead("confidence", "float64", (2,)))
    outputs = unpack(heads, memoryview(struct.pack("<2i2d", 1, 0, 0.5, 0.75)))
    assert (outputs.fields, outputs.confidence) == ([[1, 0]], [0.5, 0.75])


def test_rows_that_must_not_be_handed_out_fail_the_requests_that_hold_them() -> None:
    tickets = [Ticket(Rows(rows, []), lambda _: None, deadline=1.0, queued_at=0.0) for rows in (2, 3, 1, 2, 1)]
    hand_out(tickets, Answer(1, 0.1, failed=(0, 1, 4, 7)), Outputs([list(range(9))], None, None, {}))
    answered = [ticket.result and ticket.result.outputs for ticket in tickets]
    assert answered == [None, None, [[5]], None, [[8]]]
    assert [ticket.error is None for ticket in tickets] == [False, False, True, False, True]


def test_one_that_cannot_be_told_costs_no_other_its_answer() -> None:
    def broken(ticket: Ticket) -> None:
        raise KeyError(ticket.rows.count)

    tickets = [Ticket(Rows(1, []), told, deadline=1.0, queued_at=0.0) for told in (broken, id, broken, id)]
    faults = hand_out(tickets, Answer(1, 0.1, failed=(2,)), Outputs([list(range(4))], None, None, {}))
    assert [ticket.done for ticket in tickets] == [True] * 4
    assert [ticket.result and ticket.result.outputs for ticket in tickets[1::2]] == [[[1]], [[3]]]
    assert [type(fault) for fault in faults] == [KeyError, KeyError]
