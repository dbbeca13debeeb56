"""A tool of the host, without a client library: JSON-RPC over pipes, in Python 3 and nothing else."""
import json
import os
import subprocess
import tempfile

# Where `steerable-sidecar` is installed, that is the command.
sidecar_js = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bin", "steerable-sidecar.js")
command = ["node", sidecar_js, "--storage-path", ":memory:", "--quiet-ready", "--log-level", "ERROR"]

# What the model says, so that no key is needed.
turns = [
    {"events": [{"toolCall": {"name": "set_theme", "arguments": {"theme": "dark"}}}]},
    {"events": [{"delta": "Easier on the eyes now?"}]},
]

TOOL = {
    "type": "function",
    "function": {
        "name": "set_theme",
        "description": "Sets the colours of the app.",
        "parameters": {"type": "object", "properties": {"theme": {"enum": ["light", "dark"]}}, "required": ["theme"]},
    },
}
app = {"theme": "light"}


def set_theme(theme):
    before = app["theme"]
    app["theme"] = theme
    return {"before": before, "after": theme}


def main():
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script.json")
        with open(script, "w", encoding="utf-8") as file:
            json.dump({"turns": turns}, file)

        # stderr has the log; a host that takes it as a pipe has to read it all the time, like stdout.
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8") as sidecar:
            talk(sidecar, script)
        print(f"it ended with    exit code {sidecar.returncode}")


def talk(sidecar, script):
    def send(frame):
        sidecar.stdin.write(json.dumps({"jsonrpc": "2.0", **frame}) + "\n")
        sidecar.stdin.flush()

    chat = {
        "provider": "scripted",
        "providerOptions": {"script": script},
        "messages": [{"role": "user", "content": "It is getting late."}],
        "useTools": ["set_theme"],
    }
    for line in sidecar.stdout:
        frame = json.loads(line)
        method, params = frame.get("method"), frame.get("params") or {}
        if "error" in frame:
            raise SystemExit(f"Request {frame['id']} failed: {frame['error']['message']}")
        if method == "lifecycle.ready":
            send({"id": 1, "method": "tool.register", "params": {"tools": [TOOL]}})
        elif frame.get("id") == 1:
            send({"id": 2, "method": "agent.chat.stream", "params": chat})
        elif method == "tool.invoke":
            # A request of the sidecar: it has an id of its own, and waits for an answer.
            send({"id": frame["id"], "result": set_theme(**params["arguments"])})
        elif method == "stream.chunk" and "toolCall" in params:
            call = params["toolCall"]
            print(f"the model calls  {call['name']} {json.dumps(call['arguments'])}")
        elif method == "stream.chunk" and "toolResult" in params:
            data = params["toolResult"]["data"]
            print(f"the host gives   {data['before']} -> {data['after']}")
        elif method == "stream.chunk" and "delta" in params:
            print(f"the model says   {params['delta']}")
        elif method == "stream.error":
            raise SystemExit(f"The turn failed: {params['message']}")
        elif method == "stream.done":
            print(f"the app is       {app['theme']}")
            send({"id": 3, "method": "system.shutdown"})


main()
