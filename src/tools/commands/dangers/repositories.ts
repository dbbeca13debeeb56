import { all, always, any, arg, not, operand, opt, sub } from "../call.ts";
import type { Danger } from "./danger.ts";

const force = opt("f", "force", "force-with-lease", "force-if-includes");

export const history: readonly Danger[] = [
  {
    says: "overwrites or deletes what others have in a repository",
    programs: "git",
    when: sub("push|send-pack", any(force, opt("d", "mirror", "delete", "prune"), operand(/^[+:]./))),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    when: any(
      sub("reset", opt("", "hard", "merge", "keep")),
      sub("clean", all(opt("fxX", "force"), not(opt("n", "dry-run")))),
      sub("read-tree", opt("u", "reset")),
    ),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    when: all(sub("clean", not(opt("n", "dry-run"))), arg(/^clean\.requireforce=(?:false|no|off|0|)$/i)),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    // Paths after `--`, or after a revision.
    when: sub("checkout", ({ args }) => args.indexOf("--") >= 0 && args.indexOf("--") < args.length - 1),
  },
  {
    says: "rewrites the history of a repository",
    programs: "git",
    when: sub("commit", opt("", "amend")),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    when: sub("checkout|switch", any(opt("f", "force", "discard-changes"), operand(/^(?:\.\/?|:\/|\*)$/))),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    when: sub("restore", all(operand(/^(?:\.\/?|:\/|\*)$/), any(not(opt("S", "staged")), opt("W", "worktree")))),
  },
  {
    says: "throws away changes that are not committed",
    programs: "git",
    when: any(sub("stash drop|clear"), sub("worktree remove", force), sub("checkout-index", opt("f", "force"))),
  },
  { says: "deletes a branch whatever is on it", programs: "git", when: sub("branch", any(opt("D"), all(opt("d", "delete"), force), opt("M"))) },
  {
    says: "rewrites the history of a repository",
    programs: "git",
    when: any(sub("filter-branch|filter-repo"), sub("rebase", opt("i", "interactive", "root", "exec"))),
  },
  {
    says: "rewrites the history of a repository",
    programs: "git",
    when: any(sub("reflog expire|delete"), sub("update-ref", opt("d", "delete", "stdin")), sub("gc", opt("", "prune")), sub("prune")),
  },
  { says: "rewrites the history of a repository", programs: "git-filter-repo bfg", when: always },
  { says: "deletes files of a repository", programs: "git", when: sub("rm", all(opt("r"), not(opt("", "cached")))) },
  {
    says: "rewrites the history of a repository",
    programs: "hg",
    when: any(sub("strip|histedit|rollback|purge"), sub("update|up|checkout|co", opt("C", "clean")), sub("revert", opt("a", "all"))),
  },
  {
    says: "throws away changes that are not committed",
    programs: "svn",
    when: any(sub("revert", opt("R", "recursive", "depth")), sub("cleanup", opt("", "remove-unversioned", "remove-ignored"))),
  },
  { says: "deletes files of a repository", programs: "svn", when: sub("delete|del|rm|remove") },
  {
    says: "deletes a repository or what belongs to it",
    programs: "gh glab",
    when: any(sub("api", arg(/^(?:-X|--method=)?DELETE$/i)), sub("repo delete|archive"), sub("release delete"), sub("secret delete|set|remove")),
  },
];
