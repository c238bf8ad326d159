"""A disk that fills up, or cannot be written: nothing acknowledged is lost, nothing is left behind.

Strategy: the Maildir is on a small file system of its own, which the test fills.  The contrast:
once there is room again, the same client's message is delivered.
"""

import contextlib
import os
import smtplib
import subprocess
import time

import pytest
from programs import unavailable
from serving import MESSAGE, send, serving

SIZE = 2 << 20  # octets of the file system
LARGE = MESSAGE + b"x" * 76 * 1000  # more than the room that is left, less than is kept in memory


@pytest.fixture
def disk(tmp_path):
    """A small file system."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        unavailable("file systems cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def _fill(disk, leave: int) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        file.truncate(file.tell() - leave)


def _left(disk) -> list[str]:
    return [path.name for path in (disk / "Mail" / "tmp").iterdir()]


def test_no_room_for_what_is_on_disk_already(host, disk):
    """A message too long for memory is refused for now, without a traceback."""
    (disk / "Mail").mkdir()
    with serving(disk / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server:
        with server.client() as smtp:
            _fill(disk, 300_000)
            with pytest.raises(smtplib.SMTPDataError) as refused:
                send(smtp, MESSAGE + b"".join([b"x" * 74 + b"\r\n"] * 9000))
            assert refused.value.smtp_code == 452
        server.wait_for("No space left")
        assert not any("Traceback" in line for line in server.lines)
        assert _left(disk) == []


@pytest.mark.parametrize("leave", [0, 40960], ids=["full", "nearly full"])
def test_full_disk(host, disk, leave):
    """A message that finds no room is refused for now and leaves no file; the next one comes in."""
    (disk / "Mail").mkdir()
    with serving(disk / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server:
        with server.client() as smtp:
            send(smtp)
            _fill(disk, leave)
            for _ in range(5):
                with pytest.raises(smtplib.SMTPDataError) as refused:
                    send(smtp, LARGE)
                assert refused.value.smtp_code == 452
                assert _left(disk) == []
            (disk / "ballast").unlink()
            send(smtp, LARGE)
        assert max(map(len, server.messages())) > len(LARGE)
        assert len(server.messages()) == 2
        assert _left(disk) == []


def test_disk_that_cannot_be_written(host, disk):
    """So it is where the file system becomes read-only, and writable again."""
    (disk / "Mail").mkdir()

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)

    with serving(disk / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server:
        with server.client() as smtp:
            remount("ro")
            with pytest.raises(smtplib.SMTPDataError) as refused:
                send(smtp)
            assert refused.value.smtp_code == 451
            remount("rw")
            send(smtp)
        assert len(server.messages()) == 1
        assert _left(disk) == []


def test_what_a_crash_left_goes_at_start(host, tmp_path):
    """A start removes files from tmp that nobody has touched for 36 hours, and no others."""
    tmp = tmp_path / "Mail" / "tmp"
    tmp.mkdir(parents=True)
    for name, age in (("old", 37), ("young", 35)):
        (tmp / name).touch()
        os.utime(tmp / name, (time.time() - age * 3600,) * 2)
    with serving(tmp_path / "Mail", "--cert", host.certfile, "--key", host.keyfile):
        assert [path.name for path in tmp.iterdir()] == ["young"]


def test_more_recipients_than_a_message_may_have(host, tmp_path):
    """Those beyond the limit are to come again, and do; the transaction is not lost for them."""
    recipients = [f"r{n}@mx.example" for n in range(1200)]
    with serving(tmp_path / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server:
        with server.client() as smtp:
            refused = smtp.sendmail("a@client.example", recipients, MESSAGE)
            assert list(refused) == recipients[1000:]
            assert {code for code, _ in refused.values()} == {452}
            assert smtp.sendmail("a@client.example", list(refused), MESSAGE) == {}
        assert len(server.messages()) == 2


def test_recipients_without_end(host, tmp_path):
    """The contrast: a client that never stops is cut off (smtpd_recipient_overshoot_limit)."""
    with (
        serving(tmp_path / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server,
        server.client() as smtp,
    ):
        smtp.ehlo()
        smtp.mail("a@client.example")
        codes = []
        while 421 not in codes:
            codes.append(smtp.rcpt("b@mx.example")[0])
        assert codes.count(452) in range(1000, 1030)
