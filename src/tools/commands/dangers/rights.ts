import { all, always, any, arg, operand, opt, param, sub, type Test } from "../call.ts";
import { type Danger, manyFiles } from "./danger.ts";

const rootMode = /^(?:[ugoa]*[+=][rwxXt]*s[rwxXst]*|[0-7]?[2-7][0-7]{3})$/;
const rootMode4: Test = operand(/^0?[2467][0-7]{3}$/);

export const privilege: readonly Danger[] = [
  {
    says: "asks for the rights of another user",
    programs: "sudo sudoedit doas su pkexec runuser gosu su-exec setpriv run0 runas gsudo sg newgrp",
    when: always,
  },
  { says: "asks for the rights of an administrator", programs: "start-process saps start", when: all(param("verb"), arg(/^runas$/i)) },
  { says: "lets a file run with the rights of its owner", programs: "chmod install", when: any(rootMode4, operand(rootMode)) },
  { says: "opens files to every user", programs: "chmod", when: all(opt("R", "recursive"), operand(/^(?:0?[0-7][0-7]?[2367]|[ao]?\+[rx]*w[rx]*|a=rwx)$/)) },
  { says: "opens or closes everything below a folder", programs: "chmod chgrp", when: all(opt("R", "recursive"), manyFiles) },
  { says: "gives files to another user", programs: "chown chgrp", when: any(opt("R", "recursive"), operand(/^(?:root|0)(?::.*)?$/)) },
  {
    says: "changes who may do what on this machine",
    programs:
      "setcap visudo vipw useradd userdel usermod adduser deluser groupadd groupdel groupmod gpasswd passwd chpasswd chsh dscl takeown icacls cacls dseditgroup",
    when: always,
  },
  { says: "changes who may do what on this machine", programs: "net", when: sub("user|localgroup|group|accounts|share") },
  { says: "gives rights to programs that are not checked", programs: "set-executionpolicy", when: always },
  {
    says: "gives a container the rights of this machine",
    programs: "docker podman nerdctl",
    when: any(
      arg(/^--privileged(?:=true)?$/),
      arg(/^--cap-add(?:=|$)/),
      arg(/^(?:(?:-v|--volume)=?)?\/(?:(?:etc|boot|dev|proc|sys|root|usr|bin|lib|var\/(?:lib|run))\/?)?:/),
      arg(/(?:^|,)(?:src|source)=\/(?:,|$)/),
      arg(/^--(?:pid|userns|ipc|uts)=host$/),
      arg(/\/docker\.sock(?::|$)/),
    ),
  },
  { says: "enters the namespaces of other processes", programs: "nsenter", when: always },
];
