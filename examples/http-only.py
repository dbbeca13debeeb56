"""Without a host, as in a container: HTTP alone, with a key of our own, in Python 3 and nothing else."""
import http.client
import json
import os
import re
import subprocess

# Where `steerable-sidecar` is installed, that is the command.
sidecar_js = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bin", "steerable-sidecar.js")
# A container says `--bind-all` in place of `--http`, and takes the port from SIDECAR_PORT, else 8080.
command = ["node", sidecar_js, "--http-only", "--http", "127.0.0.1:0", "--storage-path", ":memory:", "--quiet-ready"]
environment = {**os.environ, "SLEEVE_NAME": "alice", "STEERABLE_AUTH_TOKEN": "a-key-of-at-least-16-characters", "STEERABLE_LOG_LEVEL": "ERROR"}


def main():
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8") as sidecar:
        # A container listens where it was told to; here the port is a free one, which stderr names.
        address = re.search(r"listening on http://(\S+)", sidecar.stderr.readline()).group(1)
        try:
            talk(http.client.HTTPConnection(address, timeout=30))
        finally:
            sidecar.terminate()
    print(f"it ended with    exit code {sidecar.returncode}")


def talk(connection):
    def ask(method, path, body=None):
        headers = {"Authorization": f"Bearer {environment['STEERABLE_AUTH_TOKEN']}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as response:
            answer = json.load(response)
        if response.status >= 400:
            raise SystemExit(f"{method} {path} failed: {answer['error']['message']}")
        return answer

    print(f"it is            {ask('GET', '/health')['status']}, and its name is {ask('GET', '/status')['sleeve_name']}")
    session = ask("POST", "/sessions", {"provider": "echo"})
    print(f"the session is   {session['status']}")
    result = ask("POST", f"/sessions/{session['session_id']}/dispatch", {"task": "Explain the CAP theorem."})
    print(f"the model says   {result['output']} ({result['finish_reason']})")
    closed = ask("POST", f"/sessions/{session['session_id']}/close")
    print(f"the session is   {closed['status']}")


main()
