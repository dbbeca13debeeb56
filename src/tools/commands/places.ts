/** What a path means to a person; undefined for ordinary files. `cwd` is known where the command text has set it. */
export function writtenPlace(path: string, cwd: string | undefined): string | undefined {
  const segments = normal(path, cwd);
  if (segments === undefined) return undefined;
  const [root, first = "", second = ""] = segments;
  if (root === "/" && first === "dev") return devices.test(segments.slice(2).join("/")) ? undefined : "writes straight to a device";
  if (root === "/" && (systemFolders.has(first) || systemPaths.has(`${first}/${second}`))) return "changes files of the system";
  if (/^[a-z]:$/.test(root ?? "") && /^(?:windows|program files.*|programdata|boot)$/.test(first)) return "changes files of the system";
  if (startup.some((place) => endsLike(segments, place) || inside(segments, place))) return "changes what runs when a user logs in or works";
  return undefined;
}

/** Whether a path leads to passwords or keys. */
export function holdsCredentials(path: string, cwd: string | undefined): boolean {
  const segments = normal(path, cwd);
  const last = segments?.at(-1) ?? "";
  if (segments === undefined || /\.pub$|^known_hosts|^config$|^authorized_keys/.test(segments.at(-2) === ".ssh" ? last : "")) return false;
  if (segments[1] === "proc" && segments.length === 4 && last === "environ") return true;
  return credentialFiles.some((place) => endsLike(segments, place)) || credentialFolders.some((place) => inside(segments, place) || endsLike(segments, place));
}

/** Whether a path leads to settings of a project that often hold passwords: a danger only to what shows or sends them. */
export function mayHoldCredentials(path: string): boolean {
  const last = path.split(/[/\\]/).at(-1)?.toLowerCase() ?? "";
  return /^\.env(?!rc$)(?:\.[\w.-]+)?$/.test(last)
    ? !/\.(?:example|sample|template|dist|defaults?)$/.test(last)
    : /^\.(?:npmrc|yarnrc\.yml|htpasswd)$/.test(last);
}

const systemFolders = new Set(["etc", "boot", "bin", "sbin", "lib", "lib32", "lib64", "usr", "sys", "proc", "system", "library"]);
const systemPaths = new Set(["var/spool", "private/etc", "var/lib"]);
const devices = /^(?:null|zero|full|u?random|std(?:in|out|err)|tty|ptmx|(?:fd|pts|shm)\/.*)$/;

const startup = listOf(
  ".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .zlogout .kshrc .cshrc " +
    ".tcshrc .xinitrc .xprofile .xsessionrc " +
    ".gitconfig .config/git/config .git/hooks .git/config .config/fish .config/autostart .config/systemd .pam_environment .ssh " +
    "library/launchagents library/launchdaemons " +
    "microsoft.powershell_profile.ps1 profile.ps1 .vimrc .inputrc",
);

const credentialFiles = listOf(
  "id_rsa id_ed25519 id_ecdsa id_dsa id_ed25519_sk .netrc _netrc .pypirc .git-credentials .config/git/credentials .pgpass .my.cnf .vault-token " +
    ".cargo/credentials .cargo/credentials.toml .gem/credentials " +
    ".docker/config.json .kube/config .config/gh/hosts.yml .config/rclone/rclone.conf .config/hub .terraform.d/credentials.tfrc.json " +
    "application_default_credentials.json wallet.dat " +
    "logins.json key4.db cookies.sqlite .boto .s3cfg .aws/credentials",
).concat([
  ["/", "etc", "shadow"],
  ["/", "etc", "gshadow"],
  ["/", "etc", "sudoers"],
  ["/", "etc", "master.passwd"],
  ["/", "etc", "shadow-"],
  ["/", "proc", "self", "environ"],
  ["/", "proc", "thread-self", "environ"],
  ["login data"],
]);

const credentialFolders = listOf(
  ".ssh .gnupg .aws .azure .config/gcloud .kube .password-store library/keychains .local/share/keyrings .mozilla/firefox .config/op",
).concat([
  ["/", "etc", "ssl", "private"],
  ["/", "var", "lib", "secrets"],
  ["/", "run", "secrets"],
]);

function listOf(text: string): string[][] {
  return text.split(" ").map((place) => place.split("/"));
}

/** The segments of a path in small letters, without `.`, `..` and doubled slashes: `["/", "etc", "passwd"]`, `["~", ".ssh"]`. */
function normal(path: string, cwd: string | undefined): string[] | undefined {
  const given = path
    .toLowerCase()
    .replaceAll("\\", "/")
    .replace(/^file:\/\//, "");
  if (given === "" || given.length > LONGEST || /[\n\r]/.test(given)) return undefined;
  const absolute = /^(?:\/|~|[a-z]:\/)/.test(given);
  const joined = absolute || cwd === undefined ? given : `${cwd.toLowerCase()}/${given}`;
  const root = joined.startsWith("/") ? ["/"] : [];
  const out: string[] = [];
  let above = 0;
  for (const segment of joined.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") out.push(segment);
    else if (out.pop() === undefined) above++;
  }
  // From deep inside a project, `../../../etc` is likely to be the one at the top.
  if (root.length === 0 && above > 1) root.push("/");
  if (root.length > 0 && out[0] === "private") out.shift();
  if (root.length > 0 && out[0] === "proc" && out[2] === "root") out.splice(0, 3);
  return [...root, ...out];
}

const LONGEST = 4096;

function endsLike(segments: readonly string[], place: readonly string[]): boolean {
  const from = segments.length - place.length;
  return from >= 0 && place.every((each, index) => fits(segments[from + index] ?? "", each));
}

/** Whether the path leads into a folder. */
function inside(segments: readonly string[], folder: readonly string[]): boolean {
  for (let at = 0; at + folder.length < segments.length; at++) {
    if (folder.every((each, index) => fits(segments[at + index] ?? "", each))) return true;
  }
  return false;
}

/** Whether a segment, perhaps with `*`, `?` or `[…]`, may be this name. A pattern that fits nearly everything does not count. */
function fits(segment: string, name: string): boolean {
  if (segment === name) return true;
  if (!/[*?[]/.test(segment) || segment.length > 64 || segment.replace(/\[[^\]]*\]|[*?.]/g, "").length < 2) return false;
  return globFits(segment, name);
}

/** Both are short; without recursion, with one point to go back to, as only the last `*` ever needs to grow. */
function globFits(glob: string, name: string): boolean {
  const pieces = glob.match(/\[[^\]]*\]|[\s\S]/g) ?? [];
  let [at, star, mark] = [0, -1, 0];
  for (let index = 0; index < name.length; ) {
    const piece = pieces[at];
    if (piece === "*") {
      star = at++;
      mark = index;
    } else if (piece !== undefined && one(piece, name[index] ?? "")) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++mark;
    } else {
      return false;
    }
  }
  return pieces.slice(at).every((piece) => piece === "*");
}

function one(piece: string, char: string): boolean {
  if (piece === "?") return true;
  if (!piece.startsWith("[") || piece.length < 3) return piece === char;
  const [, negated, body = ""] = /^\[([!^]?)([\s\S]*)\]$/.exec(piece) ?? [];
  const among = body.includes(char) || [...body.matchAll(/(.)-(.)/g)].some(([, from = "", to = ""]) => from <= char && char <= to);
  return among !== (negated !== "");
}
