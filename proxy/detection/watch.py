"""The detectors that follow the access log: events in, findings out; no I/O and no clock but the events' own.

    watch = Watch(settings, snapshot)       # of baselines.json, or None
    findings += watch.observe(event)        # every event, in the order of the log; what was seen before is skipped
    findings += watch.tick(now_ms)          # when the log was read to its end: is it silent?
    snapshot = watch.snapshot()             # JSON; it and the events behind it give what never stopping would have given

What is kept is bounded however many logins, names and addresses there are: `LOGINS` profiles of logins that got in, the one
that was idle longest dropped; names of logins that never got in are only in the tables of `failed_logins`, which
are bounded and empty themselves. An event that is none of ours is counted in `unreadable`; nothing is raised for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from proxy.audit.ocsf import Event
from proxy.detection import bulk_export, enumeration, failed_logins, novelty, refusals, silence
from proxy.detection import volume as volume_detector
from proxy.detection.failed_logins import Guessing
from proxy.detection.finding import ACTIONS, Action, Finding, finding_uid
from proxy.detection.profile import Profile
from proxy.detection.seen import Seen, Strange, as_given, count, name
from proxy.detection.settings import CONTAINING, Detection, Mode
from proxy.detection.signal import Signal
from proxy.detection.silence import Pulse

LOGINS: Final = 1024
REPEAT_MS: Final = 3_600_000
"""The same thing is told again after an hour, if it still is; or when the containment that it led to is over."""
_TOLD: Final = 8192
_VERSION: Final = 1
_STATEMENTS: Final = frozenset(
    {"statement.read", "statement.write", "statement.compare", "statement.refused"}
)


class Watch:
    """All detectors, for one access log."""

    def __init__(
        self, settings: Detection, snapshot: object = None, *, checkpoint_seconds: int = 10
    ) -> None:
        """A snapshot that is damaged is not used, and the next answer has a finding that says so."""
        self.settings = settings
        self.checkpoint_seconds = checkpoint_seconds
        self.unreadable = 0
        self._ttl = settings.ttl_minutes * 60_000
        self._damage = ""
        self._modes: Final[dict[str, Mode | None]] = {
            failed_logins.NAME: settings.failed_logins.mode,
            enumeration.NAME: settings.enumeration.mode,
            refusals.NAME: settings.refusals.mode,
            bulk_export.NAME: settings.bulk_export.mode,
            volume_detector.NAME: settings.volume.mode,
            novelty.NETWORK: settings.new_network.mode,
            novelty.APPLICATION: settings.new_application.mode,
            novelty.STATEMENT: settings.new_statement.mode,
            novelty.STOLEN: settings.stolen_login.mode,
            silence.NAME: settings.silence.mode,
        }
        self._begin()
        if snapshot is not None:
            try:
                self._restore(snapshot)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, Strange) as e:
                self._begin()
                self._damage = type(e).__name__

    def _begin(self) -> None:
        self.pulse = Pulse(self.settings.silence, self.checkpoint_seconds)
        self.guessing = Guessing(self.settings.failed_logins)
        self.profiles: dict[str, Profile] = {}
        self.told: dict[str, int] = {}

    @property
    def position(self) -> tuple[str, int]:
        """Chain and sequence of the last event that was seen: follow the log from there, or from before."""
        return self.pulse.chain, self.pulse.sequence

    def observe(self, event: Event) -> list[Finding]:
        """What is found with this event."""
        findings = self._damaged()
        try:
            broken = self.pulse.observe(event)
            if broken is None:
                return findings
            kind = event["metadata"]["event_code"]
            if broken:
                findings += self._findings(None, broken, self.pulse.time)
            if kind in _STATEMENTS:
                seen = Seen(event)
                findings += self._findings(
                    seen, self._profile(seen.login).statement(seen), seen.time
                )
            elif kind == "authentication.failed":
                seen = Seen(event)
                findings += self._findings(seen, self.guessing.failed(seen), seen.time)
            elif kind == "authentication.succeeded":
                seen = Seen(event)
                signals = self.guessing.succeeded(seen)
                signals += self._profile(seen.login).session(seen)
                findings += self._findings(seen, signals, seen.time)
            elif kind in ("containment.begun", "containment.ended"):
                until = event["unmapped"]["sealgate"]["until"] if kind == "containment.begun" else 0
                self.guessing.keep_out(as_given(name(event["user"]["name"])), count(until))
            elif kind.startswith("detection.") and event.get("is_alert") is True:
                self._heed(event)
        except (Strange, ValueError, TypeError, AttributeError, KeyError):
            self.unreadable += 1
        return findings

    def tick(self, now_ms: int) -> list[Finding]:
        """The log was read to its end, and it is `now_ms`."""
        return self._damaged() + self._findings(None, self.pulse.tick(now_ms), now_ms)

    def snapshot(self) -> dict[str, Any]:
        """JSON."""
        return {
            "version": _VERSION,
            "pulse": self.pulse.snapshot(),
            "guessing": self.guessing.snapshot(),
            "profiles": {login: profile.snapshot() for login, profile in self.profiles.items()},
            "told": dict(self.told),
            "unreadable": self.unreadable,
        }

    def _restore(self, snapshot: Any) -> None:
        if snapshot["version"] != _VERSION:
            raise ValueError("version")
        self.pulse.restore(snapshot["pulse"])
        self.guessing.restore(snapshot["guessing"])
        for login, saved in list(snapshot["profiles"].items())[-LOGINS:]:
            profile = self.profiles[login] = Profile(self.settings)
            profile.restore(saved)
        told = list(snapshot["told"].items())[-_TOLD:]
        self.told = {str(key): int(ms) for key, ms in told}
        self.unreadable = int(snapshot["unreadable"])

    def _profile(self, login: str) -> Profile:
        """Of a login that got in; the one that was idle longest makes room."""
        profile = self.profiles.pop(login, None)
        if profile is None:
            profile = Profile(self.settings)
            if len(self.profiles) >= LOGINS:
                del self.profiles[next(iter(self.profiles))]
        self.profiles[login] = profile
        return profile

    def _heed(self, event: Event) -> None:
        """An inline detector has found something: nothing of now becomes usual."""
        for evidence in event.get("evidences", [])[:16]:
            login = as_given(name(evidence["actor"]["user"]["name"]))
            if login in self.profiles:
                self.profiles[login].alarmed = self.pulse.time

    def _damaged(self) -> list[Finding]:
        if not self._damage:
            return []
        self._damage = ""
        title = "The baselines could not be read: detectors begin anew"
        signal = Signal(silence.NAME, title, "medium", {}, title)
        return self._findings(None, [signal], self.pulse.time)

    def _findings(self, seen: Seen | None, signals: Iterable[Signal], now: int) -> list[Finding]:
        findings = []
        for signal in signals:
            login = "" if seen is None or signal.anybody else seen.login
            mode, action = self._decided(login, signal)
            repeat = REPEAT_MS if mode not in CONTAINING else min(REPEAT_MS, self._ttl)
            if self._news(login, signal, now, repeat):
                findings.append(self._finding(seen, login, signal, now, mode, action))
        return findings

    def _news(self, login: str, signal: Signal, now: int, repeat: int) -> bool:
        """Not told lately."""
        key = finding_uid(signal.detector, login, signal.title, signal.key)
        last = self.told.pop(key, None)
        if last is not None and abs(now - last) < repeat:
            self.told[key] = last
            return False
        if len(self.told) >= _TOLD:
            del self.told[next(iter(self.told))]
        self.told[key] = now
        return True

    def _finding(
        self,
        seen: Seen | None,
        login: str,
        signal: Signal,
        now: int,
        mode: Mode,
        action: Action,
    ) -> Finding:
        return Finding(
            detector=signal.detector,
            title=signal.title,
            login=login,
            mode=mode,
            action=action,
            severity=signal.severity,
            session=(seen.session or None) if seen is not None else None,
            client=(seen.client or None) if seen is not None else None,
            numbers=signal.numbers,
            first=signal.since or now,
            last=now,
            table=(seen.table or None) if seen is not None else None,
            uid=finding_uid(signal.detector, login, signal.title, signal.key, now),
        )

    def _decided(self, login: str, signal: Signal) -> tuple[Mode, Action]:
        own = self._modes[signal.detector]
        strict = (own if own is not None else self.settings.mode) in CONTAINING
        if strict and (signal.guesses or not login):
            return "alert", "alerted"
        mode = self.settings.mode_of(own, login)
        return mode, "exempt" if strict and mode not in CONTAINING else ACTIONS[mode]
