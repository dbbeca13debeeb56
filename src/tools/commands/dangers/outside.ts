import { always, any, arg, operand, opt, sub } from "../call.ts";
import { type Danger, foundFiles } from "./danger.ts";

const sql = /\b(?:drop\s+(?:database|schema|table|user|role|index|view|tablespace)|truncate\s+(?:table\s+)?\w|delete\s+from\s+[\w."`]+\s*(?:;|$|"|'))/i;

export const outside: readonly Danger[] = [
  {
    says: "publishes a package for everybody",
    programs: "npm pnpm yarn cargo poetry flit hatch uv vsce lerna dart pub jsr deno bun",
    when: any(sub("publish"), sub("npm publish")),
  },
  { says: "runs what comes from the network", programs: "mshta", when: always },
  { says: "runs what comes from the network", programs: "regsvr32", when: arg(/^\/i:https?:/i) },
  { says: "publishes a package for everybody", programs: "twine", when: sub("upload") },
  { says: "publishes a package for everybody", programs: "gem nuget dotnet", when: any(sub("push"), sub("nuget push")) },
  { says: "takes back or changes what was published", programs: "npm pnpm yarn cargo gem", when: sub("unpublish|deprecate|yank|owner|dist-tag") },
  {
    says: "deletes data from a database",
    programs: "psql mysql mariadb sqlite3 sqlite sqlcmd clickhouse-client duckdb cockroach mysqlsh isql bq snowsql",
    when: any(arg(sql), ({ stdin }) => sql.test(stdin)),
  },
  { says: "deletes data from a database", programs: "dropdb dropuser", when: always },
  { says: "deletes data from a database", programs: "mysqladmin", when: sub("drop|shutdown") },
  {
    says: "deletes data from a database",
    programs: "redis-cli valkey-cli",
    when: any(arg(/\bflush(?:all|db)\b/i), arg(/^shutdown$/i), ({ stdin }) => /\bflush(?:all|db)\b/i.test(stdin)),
  },
  {
    says: "deletes data from a database",
    programs: "mongo mongosh",
    when: any(arg(/dropDatabase|\.drop\(|deleteMany\(|\.remove\(/), ({ stdin }) => /dropDatabase|\.drop\(|deleteMany\(/.test(stdin)),
  },
  {
    says: "deletes or changes what runs in a cloud",
    programs: "terraform tofu terragrunt",
    when: any(sub("destroy"), sub("apply", arg(/^--?(?:destroy|auto-approve)/)), sub("state rm"), sub("taint|force-unlock")),
  },
  { says: "deletes or changes what runs in a cloud", programs: "pulumi cdk sls serverless", when: sub("destroy|remove") },
  { says: "deletes or changes what runs in a cloud", programs: "kubectl oc", when: any(sub("delete|drain|cordon"), sub("replace", opt("", "force"))) },
  { says: "deletes or changes what runs in a cloud", programs: "helm", when: sub("uninstall|delete|del|rollback") },
  {
    says: "deletes or changes what runs in a cloud",
    programs: "aws",
    when: any(sub("s3 rm|rb"), sub("s3 sync", opt("", "delete")), operand(/^(?:delete|terminate|remove|purge|destroy)-/)),
  },
  {
    says: "deletes or changes what runs in a cloud",
    programs: "gcloud az doctl heroku flyctl fly eksctl ibmcloud oci linode-cli hcloud vercel netlify wrangler railway",
    when: operand(/(?:^|:)(?:delete|destroy|purge|remove|rm)$/),
  },
  { says: "deletes or changes what runs in a cloud", programs: "gsutil gcloud-storage s3cmd mc", when: sub("rm|rb|del|rsync") },
  {
    says: "deletes containers, images or volumes",
    programs: "docker podman nerdctl",
    when: any(
      sub("system|volume|image|container|network|builder|buildx prune"),
      sub("volume rm|remove"),
      sub("compose down", opt("v", "volumes", "rmi")),
      sub("system reset"),
    ),
  },
  {
    says: "deletes containers, images or volumes",
    programs: "docker podman nerdctl",
    when: any(sub("rm|rmi", any(opt("fv", "force", "volumes"), foundFiles)), sub("swarm leave"), sub("stack|service|secret|config rm")),
  },
  { says: "deletes containers, images or volumes", programs: "docker-compose podman-compose", when: sub("down", opt("v", "volumes", "rmi")) },
];
