"""The SMTP server that keeps mails: what arrives is what was sent."""

import json
import os
import smtplib
import subprocess
import sys
from email.message import EmailMessage

import pytest

from sandbox_calls import wait_until

SINK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mail_sink.py")


@pytest.fixture
def sink(tmp_path):
    mails, port = tmp_path / "mails", tmp_path / "port"
    process = subprocess.Popen([sys.executable, SINK, "--mails", mails, "--port", port])
    wait_until(port.exists)
    yield int(port.read_text()), lambda: [json.loads(line) for line in mails.read_text().splitlines()]
    process.terminate()
    assert process.wait(10) == 0


def test_keeps_each_mail(sink):
    port, kept = sink
    text = "Grüße\n.\n..two dots\n"
    mail = EmailMessage()
    mail["Subject"] = "Jürgen leaves: " + "a long subject " * 8
    mail.set_content(text)
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.send_message(mail, "offboard@example.com", ["john@example.com", "mia@example.com"])
        client.send_message(mail, "offboard@example.com", ["john@example.com"])
    first, second = kept()
    assert first == {"from": "offboard@example.com", "to": ["john@example.com", "mia@example.com"], "subject": mail["Subject"], "text": text}
    assert second == {**first, "to": ["john@example.com"]}


def test_refuses_what_is_out_of_order(sink):
    port, kept = sink
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.ehlo()
        assert client.docmd("RCPT", "TO:<john@example.com>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("VRFY", "john")[0] == 502
    assert kept() == []
