"""The service over real processes: started, watched, restarted, drained and ended."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.supervisor.driver import SHORT_S, Running, alive, eventually, source


def test_a_model_is_ready_when_its_host_says_so_and_the_front_has_a_socket_to_it(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        ready = service.event("model_ready")
        assert (ready["model"], ready["version"], ready["inputs"]) == ("iris", "1", ["x:float64"])
        state = service.state()
        assert (state["state"], state["live"], state["loaded"]["sha256"]) == ("ready", 1, ready["sha256"])
        assert len(service.ask("hosts")) == 1


def test_the_front_answers_while_models_load(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "slow", "sleep 30")) as service:
        assert service.state()["state"] == "loading"
        assert service.stop() == 0


def test_a_file_that_is_trusted_because_it_was_named_is_told_of_once(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "", replicas=2)) as service:
        service.event("model_ready", 2)
        (warning,) = service.events("model_trusted_by_name")
        assert (warning["level"], warning["path"]) == ("warning", str(tmp_path / "iris"))
        assert len(warning["sha256"]) == 64


def test_what_a_model_prints_is_in_the_log(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "say hello\ncomplain oh no")) as service:
        service.event("model_ready")
        eventually(lambda: len(service.events("model_output")) == 2)
        told = {event["stream"]: (event["model"], event["line"]) for event in service.events("model_output")}
        assert told == {"stdout": ("iris", "hello"), "stderr": ("iris", "oh no")}


def test_compiling_is_told_of_before_it_takes_its_time(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "compile\nsleep 60", start_timeout_s=60)) as service:
        told = service.event("model_compiling")
        assert (told["level"], told["model"]) == ("info", "iris")
        assert service.events("model_ready") == []


FIRST_LOADS = [
    ("die SIGSEGV", "the process died with SIGSEGV while loading"),
    ("exit 3", "the process exited with status 3 while loading"),
    ("refuse it is no model", "it is no model"),
    ("sleep 60", "the model was not ready after 2 s, while loading; start_timeout_s allows it more"),
    ("hangup\nsleep 60", "the process was killed while loading: it closed its control socket and did not end"),
    ("die SIGKILL", "the process died with SIGKILL while loading; the kernel does that when memory runs out"),
    ("babble\nsleep 60", "the process was killed while loading: it sent what is no message"),
]


@pytest.mark.parametrize(("words", "reason"), FIRST_LOADS)
def test_the_one_model_that_cannot_be_loaded_ends_the_service_with_one_line(
    tmp_path: Path, words: str, reason: str
) -> None:
    with Running(tmp_path, source(tmp_path / "iris", words, start_timeout_s=2), strict=True) as service:
        complaint = service.complaint()
        assert complaint.startswith(f"cannot serve iris: {reason}")
        assert "\n" not in complaint
        assert service.process.returncode == 1
        assert service.event("model_refused")["reason"].startswith(reason)


@pytest.mark.parametrize("words", ["die SIGABRT", "exit 3", "sleep 60"])
def test_a_process_that_fails_under_a_limit_on_memory_names_the_setting(tmp_path: Path, words: str) -> None:
    limited = source(tmp_path / "iris", words, start_timeout_s=2, memory=64 * 2**20)
    with Running(tmp_path, limited, strict=True) as service:
        assert "; `memory` allows its process 64 MiB, which is probably too little: raise it" in service.complaint()


def test_of_several_models_a_broken_one_is_shown_and_the_others_are_served(tmp_path: Path) -> None:
    sources = [source(tmp_path / "broken", "die SIGABRT"), source(tmp_path / "iris", "")]
    with Running(tmp_path, *sources) as service:
        service.event("model_refused")
        service.event("model_ready")
        assert [service.state(i)["state"] for i in (0, 1)] == ["refused", "ready"]
        assert service.state(0)["reason"] == "the process died with SIGABRT while loading"
        assert service.stop() == 0


def test_the_service_ends_where_none_of_several_models_can_be_loaded(tmp_path: Path) -> None:
    with Running(tmp_path, *(source(tmp_path / name, "exit 1") for name in ("a", "b"))) as service:
        complaint = service.complaint()
        assert "cannot serve a: " in complaint
        assert "cannot serve b: " in complaint
        assert service.process.returncode == 1


def test_a_host_that_is_killed_is_replaced_at_once_and_the_front_gets_the_new_one(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        before = service.ask("hosts")
        os.kill(host_of(service), signal.SIGKILL)
        assert service.event("host_died")["reason"].startswith("the process died with SIGKILL")
        assert service.event("host_restarting")["wait_s"] == 0
        service.event("model_ready", 2)
        assert set(service.ask("hosts")) > set(before)
        assert (service.state()["state"], service.state()["restarts"]) == ("ready", 1)


def test_a_host_that_a_front_calls_hung_is_killed_and_replaced(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        (host,) = service.ask("hosts")
        service.ask(f"hung {host}")
        assert "longer than 30 s (predict_timeout_s)" in service.event("host_died")["reason"]
        service.event("model_ready", 2)
        restarts = service.ask("scrape")["counters"]["penstock_host_restarts_total"]
        assert restarts == [[["iris", "1", "hung"], [1]]]


def test_a_restart_that_finds_other_bytes_is_refused_until_the_old_ones_are_back(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "say one")) as service:
        service.event("model_ready")
        (tmp_path / "iris").write_text("say two")
        service.ask(f"hung {service.ask('hosts')[0]}")
        assert service.event("host_died", 2)["code"] == "changed_artifact"
        assert (service.state()["state"], service.state()["reason"]) == ("refused", "other bytes than before")
        (tmp_path / "iris").write_text("say one")
        service.event("model_ready", 2)
        assert service.state()["state"] == "ready"


def test_a_front_that_dies_is_replaced_knows_everything_and_nothing_is_uncounted(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        service.ask("count 5")
        front = service.ask("pid")
        os.kill(front, signal.SIGKILL)
        assert service.ask("pid") != front
        assert (service.state()["state"], len(service.ask("hosts"))) == ("ready", 1)
        service.ask("count 2")
        counted = service.ask("scrape")["counters"]
        assert counted["penstock_requests_total"] == [[["/predict", "", "", "200"], [7]]]
        assert counted["penstock_front_restarts_total"] == [[[], [1]]]


def test_connections_to_the_slot_of_a_front_that_stays_away_are_taken_by_another(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        eventually(lambda: len({service.ask("pid") for _ in range(8)}) == 2)
        (tmp_path / "sulk-1").touch()
        os.kill(front_of(service, 1), signal.SIGKILL)
        eventually(lambda: service.ask("slots") == [0, 1])
        assert all(service.ask("slots") == [0, 1] for _ in range(20))
        assert service.event("listener_lent")["to"] == 0
        (tmp_path / "sulk-1").unlink()
        os.kill(next(pid for pid in fronts_of(service) if pid != service.ask("pid")), signal.SIGKILL)
        eventually(lambda: {tuple(service.ask("slots")) for _ in range(20)} == {(0,), (1,)})


def fronts_of(service: Running) -> list[int]:
    """Not what the supervisor has only just forked: stopped before it is a front, it would stop its parent too."""
    return service.children(of="front")


def front_of(service: Running, slot: int) -> int:
    """The front that accepts from this slot alone."""
    pid: int = next(pid for pid, slots in map(service.ask, ["who"] * 100) if slots == [slot])
    return pid


def test_a_front_knows_models_and_hosts_before_it_accepts_its_first_connection(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        os.kill(service.ask("pid"), signal.SIGKILL)
        assert service.ask("told") == ["Configure", "Models", "HostOf", "Listen"]


def test_a_front_that_falls_silent_is_killed_and_replaced(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), silent_s=SHORT_S) as service:
        silent = service.ask("pid")
        service.ask("silent")
        assert service.event("front_died")["reason"] == "it was killed: it was silent for 1.5 s"
        assert service.ask("pid") != silent


def test_sighup_replaces_one_front_after_the_other_and_some_front_is_always_there(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        service.event("front_ready", 2)
        old = fronts_of(service)
        service.process.send_signal(signal.SIGHUP)
        most = 0
        while not service.events("fronts_rolled"):
            service.ask("pid")
            most = max(most, len(fronts_of(service)))
        new = fronts_of(service)
        assert (len(new), set(old) & set(new), most) == (2, set(), 3)
        assert [event["slot"] for event in service.events("front_ready")[2:]] == [0, 1]
        assert service.events("front_died") == []
        counted = service.ask("scrape")["counters"]
        assert counted["penstock_front_restarts_total"] == [[[], [0]]], "nobody died"
        assert service.stop() == 0


def test_sighup_during_a_rolling_restart_replaces_those_again_that_were_replaced_before(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        service.event("front_ready", 2)
        service.process.send_signal(signal.SIGHUP)
        service.event("front_ready", 3)
        service.process.send_signal(signal.SIGHUP)
        service.event("fronts_rolled")
        slots = [event["slot"] for event in service.events("front_ready")[2:]]
        last_word = service.log.read_text().rindex('"fronts_rolling"')
        after = service.log.read_text()[last_word:].count('"front_ready"')
        assert (after >= 2, set(slots)) == (True, {0, 1})
        assert len(fronts_of(service)) == 2


def test_a_front_that_cannot_be_replaced_serves_on(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        front = service.ask("pid")
        (tmp_path / "sulk-0").touch()
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(fronts_of(service)) == 2)
        os.kill(next(pid for pid in fronts_of(service) if pid != front), signal.SIGKILL)
        assert service.event("front_not_replaced")["slot"] == 0
        assert service.ask("pid") == front
        (tmp_path / "sulk-0").unlink()
        service.process.send_signal(signal.SIGHUP)
        service.event("fronts_rolled")
        assert service.ask("pid") != front


def test_a_front_that_dies_while_its_successor_starts_is_succeeded_all_the_same(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        service.event("front_ready", 2)
        old = fronts_of(service)
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(fronts_of(service)) == 3)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        service.event("fronts_rolled")
        eventually(lambda: len(fronts_of(service)) == 2)
        assert not set(old) & set(fronts_of(service))
        assert service.stop() == 0


def test_sigterm_while_the_only_front_is_away_lingers_with_another(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), linger_s=1.0) as service:
        service.event("model_ready")
        for died in range(1, 4):  # each restart waits for longer than the one before
            front = service.ask("pid")
            os.kill(front, signal.SIGKILL)
            service.event("front_died", died)
        service.process.send_signal(signal.SIGTERM)
        assert service.ask("draining") is True
        assert service.process.wait(30) == 0


def test_sighup_of_a_terminal_that_was_closed_ends_the_service_however_often_it_comes(tmp_path: Path) -> None:
    """A shell passes the SIGHUP on, and the kernel sends another when the shell ends."""
    master, slave = os.openpty()
    with Running(tmp_path, source(tmp_path / "iris", ""), terminal=slave) as service:
        os.close(slave)
        service.event("model_ready")
        service.process.send_signal(signal.SIGHUP)
        service.event("fronts_rolled")
        os.close(master)
        for _ in range(3):
            service.process.send_signal(signal.SIGHUP)
        assert service.process.wait(30) == 0
        assert (service.event("draining")["linger_s"], service.event("stopped")["forced"]) == (0, False)


def host_of(service: Running) -> int:
    return service.children(of="host")[0]


def test_sigterm_lingers_then_ends_everything_with_status_0(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        service.event("model_ready")
        children = service.children()
        service.process.send_signal(signal.SIGTERM)
        service.event("draining")
        assert service.ask("draining") is True
        assert service.process.wait(30) == 0
        assert not any(map(alive, children))
        assert service.event("stopped")["cut"] == 0


def test_ctrl_c_does_not_linger(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        assert service.stop(signal.SIGINT) == 0
        assert service.event("draining")["linger_s"] == 0


def test_work_that_was_cut_is_counted_and_tells_in_the_exit_status(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.ask("cut 3")
        assert service.stop() == 1
        assert service.event("stopped")["cut"] == 3


def test_a_second_signal_forces(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "sleep 60")) as service:
        service.event("listening")
        children = service.children()
        service.process.send_signal(signal.SIGTERM)
        service.event("draining")
        assert service.stop() == 1
        assert service.event("stopped")["forced"] is True
        assert not any(map(alive, children))


def test_children_do_not_hear_the_signals_of_the_terminal(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        front = service.ask("pid")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(front, number)
        assert service.ask("pid") == front


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    sources = [source(tmp_path / "loading", "sleep 60"), source(tmp_path / "iris", "", replicas=2)]
    with Running(tmp_path, *sources, workers=2) as service:
        service.event("model_ready", 2)
        children = service.children()
        assert len(children) == 5
        service.process.kill()
        eventually(lambda: not any(map(alive, children)))


def test_neither_processes_nor_descriptors_are_left_over_from_restarts(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        service.event("model_ready")
        open_files = Path(f"/proc/{service.process.pid}/fd")
        before = len(list(open_files.iterdir()))
        for restart in range(2, 7):
            os.kill(host_of(service), signal.SIGKILL)
            service.event("model_ready", restart)
        assert len(list(open_files.iterdir())) == before
        assert all(map(alive, service.children()))
        os.kill(service.ask("pid"), signal.SIGKILL)
        service.ask("pid")
        assert len(list(open_files.iterdir())) == before


def test_a_front_that_cannot_start_at_all_ends_the_service(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), front=("-c", "import sys; sys.exit(9)")) as service:
        assert service.complaint() == "the front cannot start: the process exited with status 9"
        assert len(service.events("front_died")) == 3


def test_no_successor_is_forgotten_where_the_front_to_replace_had_only_been_started(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", "")) as service:
        dead = service.ask("pid")
        os.kill(dead, signal.SIGKILL)
        started = stopped_at_birth(service, {dead})
        service.process.send_signal(signal.SIGHUP)
        successor = stopped_at_birth(service, {dead, started})
        service.process.send_signal(signal.SIGHUP)
        service.event("fronts_rolling", 2)
        os.kill(started, signal.SIGCONT)
        service.event("front_ready", 2)
        os.kill(successor, signal.SIGCONT)
        service.event("fronts_rolled")
        eventually(lambda: len(fronts_of(service)) == 1)
        assert service.stop() == 0


def stopped_at_birth(service: Running, known: set[int]) -> int:
    """A front that is not one of the `known`: it is not to listen yet."""
    eventually(lambda: set(fronts_of(service)) - known != set())
    (born,) = set(fronts_of(service)) - known
    os.kill(born, signal.SIGSTOP)
    return born


def test_a_lent_listener_is_lent_anew_when_its_borrower_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2) as service:
        service.event("front_ready", 2)
        (tmp_path / "sulk-1").touch()
        os.kill(front_of(service, 1), signal.SIGKILL)
        service.event("listener_lent")
        borrower = service.ask("pid")
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: service.ask("pid") != borrower)
        assert service.event("listener_lent", 2)["slot"] == 1
        assert all(service.ask("pid") for _ in range(20)), "nobody is left waiting"


def test_a_service_that_stood_still_as_a_whole_blames_no_front(tmp_path: Path) -> None:
    """As a paused container does: everything stops for longer than a front may be silent, and goes on."""
    with Running(tmp_path, source(tmp_path / "iris", ""), workers=2, silent_s=SHORT_S) as service:
        service.event("front_ready", 2)
        everyone = [service.process.pid, *service.children()]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(SHORT_S + 0.5)  # there is nothing to see that one could wait for
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
        before = len(service.events("front_ready"))
        for _ in range(10):
            service.ask("count 1")
        assert (service.events("front_died"), before) == ([], 2)
        assert service.stop() == 0
