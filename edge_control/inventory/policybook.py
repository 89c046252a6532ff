"""Which policy counts where: the most specific active document, field group by field group, over the defaults."""

from __future__ import annotations

from typing import TypeVar

from schemas.decisions import PolicyRef
from schemas.policy import (
    AdmissionPolicy,
    FailoverPolicy,
    GovernorPolicy,
    MigrationPolicy,
    Mode,
    OffloadPolicy,
    PlacementPolicy,
    Policy,
    ScalingPolicy,
    Scope,
)

P = TypeVar(
    "P",
    ScalingPolicy,
    PlacementPolicy,
    MigrationPolicy,
    OffloadPolicy,
    FailoverPolicy,
    GovernorPolicy,
    AdmissionPolicy,
)
_FIELDS = {
    ScalingPolicy: "scaling",
    PlacementPolicy: "placement",
    MigrationPolicy: "migration",
    OffloadPolicy: "offload",
    FailoverPolicy: "failover",
    GovernorPolicy: "governor",
    AdmissionPolicy: "admission",
}


class PolicyBook:
    """All policy documents by id, and what they say for a place."""

    def __init__(self) -> None:
        """Only the defaults."""
        self._policies: dict[str, Policy] = {}
        self._found: dict[tuple[type, Scope], tuple[object, PolicyRef, Mode]] = {}

    def put(self, policy: Policy) -> None:
        """Take a document; an older version never replaces a newer one."""
        known = self._policies.get(policy.id)
        if known is None or policy.version >= known.version:
            self._policies[policy.id] = policy
            self._found.clear()

    def remove(self, policy_id: str) -> None:
        """Forget a document: the next less specific one counts."""
        self._policies.pop(policy_id, None)
        self._found.clear()

    def of(self, kind: type[P], where: Scope) -> P:
        """The parameters of this kind that count at this place."""
        return self.find(kind, where)[0]

    def find(self, kind: type[P], where: Scope) -> tuple[P, PolicyRef, Mode]:
        """Parameters, the document they come from, and its mode."""
        key = (kind, where)
        hit = self._found.get(key)
        if hit is None:
            hit = self._found[key] = self._search(kind, where)
        return hit  # type: ignore[return-value]  # the key holds the type

    def _search(self, kind: type[P], where: Scope) -> tuple[object, PolicyRef, Mode]:
        best: Policy | None = None
        for policy in self._policies.values():
            if getattr(policy, _FIELDS[kind]) is None or not _covers(policy.scope, where):
                continue
            if best is None or (policy.scope.weight, policy.id) > (
                best.scope.weight,
                best.id,
            ):
                best = policy
        if best is None:
            return kind(), PolicyRef(), Mode.ACTIVE
        return (
            getattr(best, _FIELDS[kind]),
            PolicyRef(id=best.id, version=best.version),
            best.mode,
        )


def _covers(scope: Scope, where: Scope) -> bool:
    pairs = zip(
        (scope.app, scope.tenant, scope.tier, scope.region, scope.site),
        (where.app, where.tenant, where.tier, where.region, where.site),
        strict=True,
    )
    return all(not wanted or wanted == found for wanted, found in pairs)
