"""What administrators order: checked, carried out, kept, and answered once it is so on every front."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from penstock.config import Canary, Route
from penstock.errors import Conflict
from penstock.model import overlay
from penstock.model.control import Breach, Order, Outcome
from penstock.model.overlay import Change, Kept, Overlay
from penstock.model.selection import LATEST
from penstock.observability.guard import Finding
from penstock.observability.timestamps import timestamp
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.lineup import Lineup
from penstock.supervisor.loop import Timer
from penstock.supervisor.slots import Front

GUARD = "guard"
"""Who is said to have changed what no person did."""
UNDER_WAY = "Another change of this model is under way: wait for its end."
SUPERSEDED = "The configuration of the model was changed meanwhile: that counts."
GONE = "There is no such model any more."
BY_ITSELF = "That version is loaded because the configuration says so (load): change it there."


class Pending:
    """An order that is being carried out: what was laid over the configuration for it, and how it was before.

    `revision` is the first in which it is so.
    """

    def __init__(self, order: Order, front: Front, lineup: Lineup, laid: Overlay, overdue: Timer) -> None:
        self.order = order
        self.front = front
        self.laid = laid
        self.overlay = lineup.overlay
        self.breach = lineup.breach
        self.default = lineup.default
        self.route = lineup.route
        self.overdue = overdue
        self.revision: int | None = None


class Orders:
    """Keeps what was ordered in `directory`. `followed` tells the revision that all fronts follow, `revision` the last
    one that they were told."""

    def __init__(
        self,
        equipment: Equipment,
        directory: Path,
        lineups: Mapping[str, Lineup],
        revision: Callable[[], int],
        followed: Callable[[], int],
    ) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._directory = directory
        self._lineups = lineups
        self._revision = revision
        self._followed = followed
        self._kept = overlay.read(directory)
        self._pending: dict[str, Pending] = {}

    # ------------------------------------------------------------------ what is kept
    def laid_over(self, model: str, configured: Route) -> Overlay | None:
        """What is to be laid over the configuration of a model; nothing any more where its route has changed since."""
        pending = self._pending.get(model)
        found = self._kept.overlays.get(model) if pending is None else pending.laid
        if found is None or found.over == configured:
            return found
        self._log.warning("overlay_dropped", model=model, detail="its route was changed in the configuration since")
        self._keep_if_possible(self._kept.with_change(model, None))
        return None

    def past(self, model: str) -> list[str]:
        """The versions that had the traffic before, the last one last, as far as administrators had a hand in it."""
        past: list[str] = []
        for change in self._kept.history.get(model, ()):
            if change.default_before in (None, change.default_after):
                continue
            if change.action == "rollback" and change.default_after in past:
                while past.pop() != change.default_after:
                    pass
            else:
                past.append(str(change.default_before))
        return past

    def breach(self, model: str) -> Breach | None:
        """Why the canary was sent away, where nothing was changed since."""
        history = self._kept.history.get(model, ())
        return history[-1].breach if history and model in self._kept.overlays else None

    def send_away(self, lineup: Lineup, canary: str, finding: Finding) -> None:
        """No request goes to the canary any more, as if an administrator had said so; what somebody else has under way
        goes on without it.

        The default version stays the one that it is: the newest may be the canary.
        """
        pending = self._pending.get(lineup.name)
        before = lineup.overlay if pending is None else pending.overlay
        before = before or Overlay(route=lineup.configured, over=lineup.configured)
        after = replace(before, route=_without_canary(before.route, lineup.default))
        breach = Breach(version=canary, limit=finding.limit, reason=finding.reason, at=timestamp())
        change = Change(
            at=breach.at,
            by=GUARD,
            action="rollback",
            version=canary,
            default_before=lineup.default,
            default_after=lineup.default,
            route_before=before.route,
            route_after=after.route,
            why=finding.reason,
            breach=breach,
        )
        self._keep_if_possible(self._kept.with_change(lineup.name, after, change))
        if pending is not None:
            pending.overlay, pending.breach = after, breach
            pending.laid = after = replace(pending.laid, route=replace(pending.laid.route, canary=Canary()))
        lineup.lay(after, breach=breach)

    # ------------------------------------------------------------------ from an order to its outcome
    def take(self, front: Front, order: Order) -> None:
        """Begins to do what was ordered, or says why not."""
        lineup = self._lineups.get(order.model)
        if lineup is None or lineup.removed:
            self._refuse(front, order, GONE)
        elif order.action == "history":
            history = self._kept.history.get(order.model, ())
            front.link.send(Outcome(number=order.number, history=history))
        elif order.model in self._pending:
            self._refuse(front, order, UNDER_WAY)
        else:
            self._begin(front, order, lineup)

    def advance(self) -> None:
        """Looks whether what was ordered is so."""
        for model, pending in list(self._pending.items()):
            lineup = self._lineups.get(model)
            if lineup is None or lineup.removed:
                self._give_up(pending, GONE)
            elif lineup.overlay != pending.laid:
                self._give_up(pending, SUPERSEDED)
            elif isinstance(verdict := lineup.verdict(pending.order), str):
                self._give_up(pending, verdict)
                lineup.lay(pending.overlay, breach=pending.breach)
            elif verdict:
                self._look_at_fronts(pending, lineup)

    def _begin(self, front: Front, order: Order, lineup: Lineup) -> None:
        now = lineup.overlay or Overlay(route=lineup.route, over=lineup.route)
        try:
            laid = overlay.ordered(
                order, now, there=lineup.there, loaded=lineup.loaded, default=lineup.default, before=lineup.before
            )
            if order.action == "unload" and order.version in lineup.needed(laid):
                raise Conflict(BY_ITSELF)
            if laid.route != now.route and (broken := lineup.broken(laid.route)) is not None:
                raise Conflict(broken)  # before anybody is sent there
            self._keep(self._kept)  # before anything is done: whether it could be
        except Conflict as conflict:
            self._refuse(front, order, str(conflict))
        except OSError as problem:
            where = f"{self._directory.name} (state_dir)"
            self._refuse(front, order, f"It could not be kept in {where}: {problem.strerror}. Nothing was changed.")
        else:
            overdue = self._loop.later(lineup.patience_s, lambda: self._overdue(order.model))
            self._pending[order.model] = Pending(order, front, lineup, laid, overdue)
            lineup.retry(order)
            lineup.lay(laid, back=order.action == "rollback")

    def _look_at_fronts(self, pending: Pending, lineup: Lineup) -> None:
        if pending.revision is None:
            pending.revision = self._revision()
        if self._followed() >= pending.revision:
            self._done(pending, lineup)

    def _done(self, pending: Pending, lineup: Lineup) -> None:
        order = self._settled(pending)
        change = Change(
            at=timestamp(),
            by=order.by,
            action=order.action,
            version=order.version,
            default_before=pending.default,
            default_after=lineup.default,
            route_before=pending.route,
            route_after=lineup.route,
            why=order.why,
        )
        if pending.laid != pending.overlay:
            self._keep_if_possible(self._kept.with_change(order.model, pending.laid, change))
        self._tell("administered", order, default=lineup.default, before=pending.default)
        self._ledger.administered(order.model, order.action, "done")
        pending.front.link.send(
            Outcome(
                number=order.number,
                default_before=pending.default,
                default_after=lineup.default,
                route_before=pending.route,
                route_after=lineup.route,
            )
        )

    def _overdue(self, model: str) -> None:
        if (pending := self._pending.get(model)) is not None:
            self._give_up(pending, "It took too long. All is as it was before.")
            if (lineup := self._lineups.get(model)) is not None and lineup.overlay == pending.laid:
                lineup.lay(pending.overlay, breach=pending.breach)

    def _give_up(self, pending: Pending, reason: str) -> None:
        """It cannot be. Nothing was kept of it."""
        self._refuse(pending.front, self._settled(pending), reason)

    def _settled(self, pending: Pending) -> Order:
        pending.overdue.cancel()
        del self._pending[pending.order.model]
        return pending.order

    def _refuse(self, front: Front, order: Order, reason: str) -> None:
        self._tell("administration_refused", order, reason=reason)
        self._ledger.administered(order.model, order.action, "refused")
        front.link.send(Outcome(number=order.number, refused=reason))

    def _keep(self, kept: Kept) -> None:
        """Raises OSError, and keeps what was kept before, where that is not possible."""
        overlay.write(self._directory, kept)
        self._kept = kept

    def _keep_if_possible(self, kept: Kept) -> None:
        try:
            self._keep(kept)
        except OSError as problem:
            self._kept = kept
            self._log.error("state_not_kept", path=str(self._directory), reason=problem.strerror)

    def _tell(self, event: str, order: Order, **fields: object) -> None:
        said = {name: getattr(order, name) for name in ("model", "action", "version", "by", "why")}
        self._log.info(event, **{name: value for name, value in said.items() if value is not None}, **fields)


def _without_canary(route: Route, default: str | None) -> Route:
    pinned = default if route.default == LATEST and default is not None else route.default
    return replace(route, default=pinned, canary=Canary())
