import { always, any, arg, operand, opt, sub } from "../call.ts";
import type { Danger } from "./danger.ts";

export const credentials: readonly Danger[] = [
  { says: "reads or shows passwords and keys", programs: "security", when: arg(/^(?:find-|dump-|export|unlock-|delete-|add-)/) },
  { says: "reads or shows passwords and keys", programs: "gpg gpg2", when: arg(/^--(?:export-secret|delete-secret|delete-keys?$)/) },
  { says: "reads or shows passwords and keys", programs: "secret-tool keyring", when: sub("lookup|search|clear|get") },
  { says: "reads or shows passwords and keys", programs: "op bw lpass pass", when: sub("read|get|show|export|item|list|unlock|document") },
  { says: "reads or shows passwords and keys", programs: "git", when: sub("credential", sub("credential fill|approve|reject")) },
  { says: "reads or shows passwords and keys", programs: "gh", when: sub("auth", any(sub("auth token"), opt("t", "show-token"))) },
  { says: "reads or shows passwords and keys", programs: "gcloud", when: sub("auth", operand(/^print-/)) },
  {
    says: "reads or shows passwords and keys",
    programs: "aws",
    when: any(sub("sts", operand(/^(?:get-session-token|assume-role)/)), sub("secretsmanager", operand(/^get-/)), sub("configure get|export-credentials")),
  },
  {
    says: "reads or shows passwords and keys",
    programs: "kubectl oc",
    when: any(sub("get|describe", operand(/^secrets?(?:\/|$)/)), sub("config view", opt("", "raw"))),
  },
  { says: "reads or shows passwords and keys", programs: "vault", when: any(sub("kv get"), sub("read"), sub("token create")) },
  { says: "reads or shows passwords and keys", programs: "cmdkey vaultcmd mimikatz", when: always },
  {
    says: "reads or shows passwords and keys",
    programs: "curl wget http https xh iwr irm invoke-webrequest invoke-restmethod",
    // Where clouds give a machine its credentials.
    when: arg(/(?:^|[/@])(?:169\.254\.169\.254|169\.254\.170\.2|\[?fd00:ec2::254\]?|metadata\.google\.internal)(?=[:/?#]|$)/i),
  },
  { says: "reads or shows passwords and keys", programs: "npm", when: sub("token") },
];
