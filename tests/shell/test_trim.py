"""trim-boot: what the agent does not need is off its way."""

from __future__ import annotations

import pytest

from tests.shell.machine import Machine

UNITS = "/usr/lib/systemd/system"
WANTED_AT_BOOT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


def state(machine: Machine, unit: str) -> str:
    return machine.run("systemctl", "is-enabled", unit).output.strip()


@pytest.fixture
def busy(machine: Machine) -> Machine:
    """With the services that the packages of an image enable."""
    for unit in ("apparmor.service", "containerd.service", "e2scrub_reap.service"):
        machine.write(f"{UNITS}/{unit}", WANTED_AT_BOOT)
        machine.ok("systemctl", "enable", unit)
    machine.write(f"{UNITS}/e2scrub_all.timer", "[Timer]\nOnCalendar=weekly\n[Install]\nWantedBy=timers.target\n")
    machine.ok("systemctl", "enable", "e2scrub_all.timer")
    return machine


def test_services_that_can_wait_do_not_start_at_boot(busy: Machine) -> None:
    busy.does_twice("trim-boot", {})
    assert [state(busy, unit) for unit in ("apparmor.service", "containerd.service", "e2scrub_reap.service")] == ["disabled"] * 3


def test_units_that_only_load_modules_are_masked(busy: Machine) -> None:
    units = ("systemd-repart.service", "systemd-pstore.service", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount")
    for unit in units:
        busy.write(f"{UNITS}/{unit}", WANTED_AT_BOOT)
    busy.does_twice("trim-boot", {})
    assert [state(busy, unit) for unit in units] == ["masked"] * 4


def test_generators_without_work_do_not_run(machine: Machine) -> None:
    machine.does_twice("trim-boot", {})
    assert machine.ok("readlink", "/etc/systemd/system-generators/systemd-cryptsetup-generator").strip() == "/dev/null"
    assert not machine.exists("/etc/systemd/system-generators/systemd-fstab-generator")


def test_generator_with_work_runs(machine: Machine) -> None:
    machine.write("/etc/crypttab", "data /dev/vdb none\n")
    machine.does("trim-boot", {})
    assert not machine.exists("/etc/systemd/system-generators/systemd-cryptsetup-generator")


def test_formats_of_other_programs_are_still_registered(machine: Machine) -> None:
    machine.write(f"{UNITS}/systemd-binfmt.service", WANTED_AT_BOOT)
    machine.write("/usr/lib/binfmt.d/qemu-arm.conf", ":qemu-arm:M::x::/usr/bin/qemu-arm-static:\n")
    machine.does("trim-boot", {})
    with_work = state(machine, "systemd-binfmt.service")
    machine.ok("rm", "/usr/lib/binfmt.d/qemu-arm.conf")
    machine.does("trim-boot", {})
    assert (with_work == "masked", state(machine, "systemd-binfmt.service")) == (False, "masked")


def test_logins_start_logind(machine: Machine) -> None:
    machine.write(f"{UNITS}/systemd-logind.service", WANTED_AT_BOOT)
    machine.does("trim-boot", {})
    assert machine.ok("readlink", "/etc/systemd/system/multi-user.target.wants/systemd-logind.service").strip() == "/dev/null"
    assert state(machine, "systemd-logind.service") != "masked"


def test_profiles_are_loaded_after_the_agent_and_before_docker(busy: Machine) -> None:
    busy.does("trim-boot", {})
    assert state(busy, "goldbake-apparmor.service") == "enabled"
    unit = busy.read(f"{UNITS}/goldbake-apparmor.service")
    assert "After=goldbake-firstboot.service goldbake-agent.service" in unit
    assert "Before=docker.service containerd.service" in unit


def test_machine_without_these_services_is_left_alone(machine: Machine) -> None:
    for unit in ("apparmor.service", "containerd.service", "e2scrub_reap.service"):
        machine.run("rm", "-f", f"{UNITS}/{unit}", f"/lib/systemd/system/{unit}")
    machine.does("trim-boot", {})
    assert not machine.exists(f"{UNITS}/goldbake-apparmor.service")
