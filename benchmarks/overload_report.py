"""What overload came to, as Markdown: for each model and deadline what got through, what did not, and the goals."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from course import Latencies
from openloop import Record
from report import markdown, number
from results import Results
from step import Step

GOODPUT = {2.0: 0.95, 5.0: 0.90, 10.0: 0.90}  # of the peak, at these loads
USUAL = 0.8
SLOWER = 2.0  # than at the usual load, the admitted may be
CALM_WITHIN_S = 2.0


class Verdict(NamedTuple):
    """What was reached of a goal, and in which steps it was measured."""

    what: str
    reached: str
    goal: str
    met: bool
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        judged = "void" if any(step.void for step in self.steps) else "met" if self.met else "missed"
        return f"{self.what}: {self.reached} ({self.goal}: {judged})"


def report(results: Results) -> str:
    subject, deadline_ms, wait_ms = results.case
    limit = "" if wait_ms is None else f", at most {wait_ms} ms of waiting"
    sections = [
        f"**{subject}**, deadline {deadline_ms} ms{limit}, capacity {number(results.peak)} requests/s",
        through(results),
        refused(results),
        "\n".join(f"- **void**, {name}: {reason}" for name, step in results.all_steps() for reason in step.void),
        "\n".join(f"- {verdict}" for verdict in verdicts(results)),
        noise(results),
    ]
    return "\n\n".join(filter(None, sections))


def through(results: Results) -> str:
    """Right answers within their deadline are the goodput; `late` are the admitted that got none."""
    head = ("load", "offered/s", "sent/s", "p99 late ms", "goodput/s", "of peak", "p50 ms", "p99 ms", "late")
    return markdown(head, (_through(results, load) for load in results.steps))


def _through(results: Results, load: float) -> list[str]:
    course, step = results.course(load), results.steps[load]
    return [
        f"{load:g} ×" + " **void**" * bool(step.void),
        figure(results.a_second(load, len(course.due))),
        figure(results.a_second(load, course.sent)),
        figure(step.lateness.p99),
        figure(results.a_second(load, course.good)),
        f"{results.reached(load):.0%}",
        *map(figure, results.admitted(load)),
        f"{course.late:.1%}",
    ]


def refused(results: Results) -> str:
    """What became of the requests of each load, what refusals cost, and what was asked beside them."""
    head = ("load", "refused", "p50 ms", "p99 ms", "µs each", "front", "cores", "/health ms", "/metrics ms", "outcomes")
    return markdown(head, (_refused(results, load) for load in results.steps))


def _refused(results: Results, load: float) -> list[str]:
    course, step = results.course(load), results.steps[load]
    probes = (Latencies.of(np.array([probe.seconds for probe in each])) for each in step.probes.values())
    return [
        f"{load:g} ×",
        f"{course.refused.mean():.0%}",
        *map(figure, results.refused(load)),
        figure(results.refusal_us(load)),
        f"{step.work.front / step.seconds:.2f}",
        f"{step.work.server / step.seconds:.2f}",
        *(f"{figure(latencies.p50)}, {figure(latencies.p99)}" for latencies in probes),
        ", ".join(f"{count:,} × {outcome}" for outcome, count in sorted(course.counts.items())),
    ]


def verdicts(results: Results) -> Iterator[Verdict]:
    """Of each goal of which something was measured."""
    steps = results.steps
    for load, share in GOODPUT.items():
        if load in steps:
            reached = results.reached(load)
            goal = f"at least {share:.0%}"
            yield Verdict(f"goodput at {load:g} ×", f"{reached:.0%} of peak", goal, reached >= share, (steps[load],))
    for load in GOODPUT if USUAL in steps else ():
        if load in steps:
            most, p99 = SLOWER * results.admitted(USUAL).p99, results.admitted(load).p99
            goal = f"at most {figure(most)}"
            where = steps[USUAL], steps[load]
            yield Verdict(f"p99 of the admitted at {load:g} ×", f"{figure(p99)} ms", goal, p99 <= most, where)
    yield recovered(results)
    yield outside(results)


def recovered(results: Results) -> Verdict:
    after = results.calm_after_s()
    reached = "not within the run" if after is None else f"after {after:.2f} s"
    met = after is not None and after <= CALM_WITHIN_S
    where = results.steps[min(results.steps)], results.drop
    return Verdict("as before the flood", reached, f"at most {CALM_WITHIN_S:g} s", met, where)


def outside(results: Results) -> Verdict:
    """Health and metrics, whether void or not: they do not ask for the load to be even."""
    probes = [probe for _, step in results.all_steps() for each in step.probes.values() for probe in each]
    others = sum(probe.status != 200 for probe in probes)
    slowest = 1000 * max(probe.seconds for probe in probes)
    reached = f"{others} of {len(probes)} not answered with 200, the slowest after {figure(slowest)} ms"
    return Verdict("health and metrics", reached, "none", not others, ())


def noise(results: Results) -> str:
    others = max(step.work.others / step.seconds for _, step in results.all_steps())
    return f"Other programs used at most {others:.2f} cores during a run."


def figure(value: float) -> str:
    return "–" if np.isnan(value) else number(value)


def ceiling(records: Mapping[int, Record]) -> str:
    """The load on an application that does nothing: how late requests leave, and when they are answered."""
    head = ("requests/s", "kept", "p50 late ms", "p99 late ms", "p50 ms", "p99 ms")
    return markdown(head, (_ceiling(rate, record) for rate, record in records.items()))


def _ceiling(rate: int, record: Record) -> list[str]:
    latencies = record.lateness, record.done - record.due
    figures = [figure(value) for seconds in latencies for value in Latencies.of(seconds[~np.isnan(record.sent)])]
    return [number(rate), record.behind or "yes", *figures]
