"""What administrators order: checked, kept, carried out, and answered once it is so on every front."""

from collections.abc import Callable, Mapping
from pathlib import Path

from penstock.config import Route
from penstock.errors import Conflict
from penstock.model import overlay
from penstock.model.control import Order, Outcome
from penstock.model.overlay import Change, Kept, Overlay
from penstock.observability.timestamps import timestamp
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.lineup import Lineup
from penstock.supervisor.slots import Front

UNDER_WAY = "Another change of this model is under way: wait for its end."


class Pending:
    """An order that is being carried out, and how it was before. `revision` is the first in which it is so."""

    def __init__(self, order: Order, front: Front, kept: Kept, lineup: Lineup) -> None:
        self.order = order
        self.front = front
        self.kept = kept
        self.overlay = lineup.overlay
        self.default = lineup.default
        self.route = lineup.route
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
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._directory = directory
        self._lineups = lineups
        self._revision = revision
        self._followed = followed
        self._kept = overlay.read(directory)
        self._pending: dict[str, Pending] = {}

    def laid_over(self, model: str, configured: Route) -> Overlay | None:
        """What is to be laid over the configuration of a model; nothing any more where its route has changed since."""
        found = self._kept.overlays.get(model)
        if found is None or found.over == configured:
            return found
        self._log.warning("overlay_dropped", model=model, detail="its route was changed in the configuration since")
        self._keep_if_possible(self._kept.with_change(model, None))
        return None

    def past(self, model: str) -> list[str]:
        """The versions that had the traffic before, the last one last, as far as administrators had a hand in it."""
        past: list[str] = []
        for change in self._kept.history.get(model, ()):
            if change.action == "rollback" and past:
                past.pop()
            elif change.default_before not in (None, change.route_after.default):
                past.append(str(change.default_before))
        return past

    def take(self, front: Front, order: Order) -> None:
        """Begins to do what was ordered, or says why not."""
        lineup = self._lineups.get(order.model)
        if lineup is None or lineup.removed:
            self._refuse(front, order, "There is no such model any more.")
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
            verdict = "The model is no more." if lineup is None else lineup.verdict(pending.order)
            if isinstance(verdict, str):
                self._give_up(model, pending, verdict)
            elif verdict and lineup is not None:
                self._look_at_fronts(model, pending, lineup)

    def _begin(self, front: Front, order: Order, lineup: Lineup) -> None:
        now = lineup.overlay or Overlay(route=lineup.route, over=lineup.route)
        try:
            new = overlay.ordered(
                order,
                now,
                there=lineup.there,
                loaded=lineup.loaded,
                default=lineup.default,
                before=lineup.before,
            )
            pending = Pending(order, front, self._kept, lineup)
            change = Change(
                at=timestamp(),
                by=order.by,
                action=order.action,
                version=order.version,
                default_before=lineup.default,
                route_before=lineup.route,
                route_after=new.route,
                why=order.why,
            )
            self._keep(self._kept.with_change(order.model, new, change))
        except Conflict as conflict:
            self._refuse(front, order, str(conflict))
        except OSError as problem:
            reason = (
                f"It could not be kept in {self._directory.name} (state_dir): {problem.strerror}. Nothing was changed."
            )
            self._refuse(front, order, reason)
        else:
            self._pending[order.model] = pending
            lineup.lay(new, back=order.action == "rollback")

    def _look_at_fronts(self, model: str, pending: Pending, lineup: Lineup) -> None:
        if pending.revision is None:
            pending.revision = self._revision()
        if self._followed() >= pending.revision:
            del self._pending[model]
            order = pending.order
            self._tell("administered", order, default=lineup.default, before=pending.default)
            self._ledger.administered(model, order.action, "done")
            pending.front.link.send(
                Outcome(
                    number=order.number,
                    default_before=pending.default,
                    default_after=lineup.default,
                    route_before=pending.route,
                    route_after=lineup.route,
                )
            )

    def _give_up(self, model: str, pending: Pending, reason: str) -> None:
        """It cannot be: all is as it was before."""
        del self._pending[model]
        before = pending.kept.overlays.get(model)
        history = {**self._kept.history, model: pending.kept.history.get(model, ())}
        self._keep_if_possible(Kept(overlays=self._kept.with_change(model, before).overlays, history=history))
        self._refuse(pending.front, pending.order, reason)
        if (lineup := self._lineups.get(model)) is not None:
            lineup.lay(pending.overlay)

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
        said = {
            "model": order.model,
            "action": order.action,
            "version": order.version,
            "by": order.by,
            "why": order.why,
        }
        self._log.info(event, **{name: value for name, value in said.items() if value is not None}, **fields)
