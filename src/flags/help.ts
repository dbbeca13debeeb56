import { LOG_LEVELS } from "../log.ts";

export const help = `usage: steerable-sidecar [-h] [--version] [--log-level {${LOG_LEVELS.join(",")}}]
                         [--quiet-ready] [--storage-path FILE|:memory:]
                         [--config FILE] [--http [HOST:]PORT] [--http-only]
                         [--host HOST] [--port PORT] [--bind-all]
                         [--auth-token TOKEN] [--no-auth] [--max-sessions N]
                         [--max-body-mb N] [--rate-limit N]
       steerable-sidecar hash-key

An agent runtime that speaks JSON-RPC 2.0 on stdin and stdout, one object per line.

options:
  -h, --help                Show help and exit.
  --version                 Show the version and exit.
  --log-level {${LOG_LEVELS.join(",")}}
                            Sidecar log level (always logged on stderr).
                            Default: INFO.
  --quiet-ready             Skip the __SIDECAR_READY__ stderr marker.
                            (Useful for embedded supervisors that prefer to
                            key off the \`lifecycle.ready\` stdout notification.)
                            Default: the marker is written.
  --storage-path FILE|:memory:
                            Session database. \`:memory:\` keeps nothing.
                            Default: steerable-sidecar/sidecar.db in the
                            per-user data directory of the platform.
  --config FILE             Configuration in YAML. STEERABLE_* variables
                            override it, and flags override both.
                            Default: none.

HTTP listener (not opened unless one of the first four, or \`api\` in the
configuration, says so):
  --http [HOST:]PORT        Answer HTTP too. A port alone is one of the
                            loopback; port 0 takes a free one.
  --host HOST               Address to listen on. Default: 127.0.0.1.
  --port PORT               Port to listen on. Default: SIDECAR_PORT, else 8080
                            where SLEEVE_NAME is set, else 8900.
  --bind-all                Listen on 0.0.0.0. Needs a token or keys.
  --http-only               Serve HTTP alone: stdin is not read, and nothing is
                            written to stdout.
  --auth-token TOKEN        Secret that requests have to bring. Other users of
                            this machine can read flags: STEERABLE_AUTH_TOKEN
                            in the environment is safer. Default: the keys of
                            the configuration, else one made for this run.
  --no-auth                 Let everybody in. For loopback addresses only.
  --max-sessions N          Sessions that may be open at a time. Default: 64.
  --max-body-mb N           Longest body of a request, in MiB. Default: 1.
  --rate-limit N            Requests per minute of one subject, or one address;
                            0 for no limit. Default: 120.

commands:
  hash-key                  Print the hash of a key, for \`api.auth.keys\`.
`;
