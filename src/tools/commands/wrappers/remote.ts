import { type Special, afterOptions, setOf, shell } from "../inner.ts";

export const ssh: Special = ({ args }) => {
  const commands = args.flatMap(
    (arg, at) =>
      /(?:^-o)?(?:ProxyCommand|LocalCommand|KnownHostsCommand)[= ](.*)/i.exec(arg)?.[1] ??
      (/^-o(?:ProxyCommand|LocalCommand)$/i.test(arg) ? (args[at + 1] ?? "") : []),
  );
  const remote = afterOptions(args, setOf("B b c D E e F I i J L l m O o P p Q R S W w")).slice(1).join(" ");
  return [...commands, remote].filter((text) => text !== "").map(shell);
};

export const containers: Special = ({ args }) => {
  const rest = afterOptions(args, setOf("H c l host context config log-level connection"));
  const words =
    rest[0] === "compose" ? afterOptions(rest.slice(1), setOf("f p file project-name profile env-file")) : rest[0] === "container" ? rest.slice(1) : rest;
  if (words[0] === "run" || words[0] === "create") {
    const entry = words.flatMap((word, at) =>
      word === "--entrypoint" ? [words[at + 1] ?? ""] : word.startsWith("--entrypoint=") ? [word.slice("--entrypoint=".length)] : [],
    );
    return [{ kind: "words", words: [...entry, ...afterOptions(words.slice(1), runValued).slice(1)] }];
  }
  if (words[0] === "exec") return [{ kind: "words", words: afterOptions(words.slice(1), setOf("e u w env user workdir env-file detach-keys index")).slice(1) }];
  return [];
};

const runValued = setOf(
  "a c e h l m p u v w add-host annotation attach blkio-weight cap-add cap-drop cgroup-parent cgroupns cidfile cpu-period cpu-quota " +
    "cpu-shares cpus cpuset-cpus cpuset-mems device " +
    "dns dns-search entrypoint env env-file expose gpus group-add health-cmd hostname ip ipc isolation label label-file link " +
    "log-driver log-opt mac-address memory memory-swap mount name " +
    "network net network-alias oom-score-adj pid pids-limit platform publish pull restart runtime security-opt shm-size stop-signal " +
    "stop-timeout storage-opt sysctl tmpfs ulimit user " +
    "userns uts volume volume-driver volumes-from workdir",
);
