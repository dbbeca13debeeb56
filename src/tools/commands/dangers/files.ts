import { always, any, arg, type Call, operandsOf, opt, param, slash, sub } from "../call.ts";
import { type Danger, foundFiles, manyFiles } from "./danger.ts";

export const deletes: readonly Danger[] = [
  { says: "deletes folders with everything in them", programs: "rm rimraf del-cli trash", when: opt("rR", "recursive", "no-preserve-root") },
  { says: "deletes folders with everything in them", programs: "rimraf del-cli", when: always },
  { says: "deletes everything in a folder", programs: "rm del erase unlink srm", when: manyFiles },
  { says: "deletes every file that is found", programs: "rm unlink rmdir srm trash del", when: foundFiles },
  { says: "deletes every file that is found", programs: "find gfind bfs", when: arg(/^-delete$/) },
  {
    says: "deletes what is not at the source",
    programs: "rsync",
    when: any(opt("", "delete", "delete-before", "delete-after", "remove-source-files"), arg(/^--del/)),
  },
  { says: "deletes what is not at the source", programs: "rclone", when: sub("sync|delete|purge|move|rmdirs|cleanup") },
  { says: "destroys the content of files for good", programs: "shred srm wipe scrub sdelete", when: always },
  { says: "empties files", programs: "truncate", when: ({ args }) => args.some((each, at) => emptying.test(`${args[at - 1] ?? ""} ${each}`)) },
  { says: "moves files to where they are lost", programs: "mv move", when: any(arg(/^\/+dev\/+null$/), (call) => everythingMoved(call)) },
  { says: "deletes folders with everything in them", programs: "rmdir rd del erase ri remove-item rm", when: any(slash("s"), param("recurse")) },
  // An expression of PowerShell.
  { says: "deletes folders with everything in them", programs: "write-output", when: arg(/\bdirectory\]::delete/i) },
  { says: "deletes folders with everything in them", programs: "clear-recyclebin clear-disk", when: always },
  { says: "makes a folder the copy of another, deleting the rest", programs: "robocopy", when: any(slash("mir"), slash("purge"), slash("move")) },
  { says: "destroys what was deleted before", programs: "cipher", when: slash("w") },
];

/** A size of nothing, below the one there is, or one that is not known. */
const emptying = /(?:^| )(?:-[a-z]*s[ =]?|--s[a-z]*[ =])(?:0+[a-z]*$|[-</%]|\0)/i;

function everythingMoved(call: Call): boolean {
  return operandsOf(call)
    .slice(0, -1)
    .some((each) => /^(?:\/|~\/?|\/\*|~\/\*)$/.test(each));
}
