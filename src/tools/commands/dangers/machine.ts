import { all, always, any, arg, not, operand, opt, sub } from "../call.ts";
import type { Danger } from "./danger.ts";

export const system: readonly Danger[] = [
  { says: "stops or restarts this machine", programs: "shutdown reboot halt poweroff stop-computer restart-computer", when: always },
  { says: "stops or restarts this machine", programs: "init telinit", when: operand(/^[016s]$/i) },
  {
    says: "stops services or changes what is started",
    programs: "systemctl",
    when: any(sub("stop|disable|mask|kill|poweroff|reboot|halt|suspend|hibernate|rescue|emergency|isolate|kexec|restart"), sub("enable|edit|link|set-default")),
  },
  { says: "stops services or changes what is started", programs: "service rc-service", when: operand(/^(?:stop|restart)$/) },
  { says: "stops services or changes what is started", programs: "launchctl", when: sub("unload|remove|bootout|disable|kill|load|bootstrap|submit") },
  { says: "stops services or changes what is started", programs: "sc", when: sub("stop|delete|config|create") },
  {
    says: "stops services or changes what is started",
    programs: "stop-service remove-service set-service schtasks register-scheduledtask new-service",
    when: always,
  },
  { says: "ends processes by name, or all of them", programs: "killall killall5 pkill taskkill skill xkill", when: always },
  { says: "ends processes by name, or all of them", programs: "fuser", when: opt("k", "kill") },
  {
    says: "ends processes by name, or all of them",
    programs: "kill",
    when: any(all(arg(/^-(?:9|kill|sigkill|s|15|term)$/i), arg(/^-1$/)), ({ args }) => args.at(-1) === "-1", arg(/^[01]$/)),
  },
  { says: "ends processes by name, or all of them", programs: "stop-process spps", when: always },
  {
    says: "changes the rules of the firewall",
    programs: "iptables ip6tables ebtables",
    when: any(opt("FXPDIA", "flush", "policy", "delete", "delete-chain"), arg(/^-[FXPDIA]/)),
  },
  { says: "changes the rules of the firewall", programs: "nft", when: sub("flush|delete|destroy|add|insert") },
  { says: "changes the rules of the firewall", programs: "ufw", when: sub("disable|reset|delete|allow|deny|reload") },
  { says: "changes the rules of the firewall", programs: "netsh firewall-cmd pfctl", when: always },
  { says: "changes what is run at set times", programs: "crontab", when: ({ args, stdin }) => (args.length > 0 ? !args.includes("-l") : stdin !== "") },
  { says: "changes what is run at set times", programs: "at batch", when: not(opt("lV")) },
  { says: "wipes traces of what was done", programs: "history", when: opt("cdw") },
  { says: "wipes traces of what was done", programs: "journalctl", when: opt("", "vacuum-size", "vacuum-time", "vacuum-files", "rotate") },
  { says: "wipes traces of what was done", programs: "wevtutil", when: sub("cl|clear-log") },
  { says: "wipes traces of what was done", programs: "clear-history clear-eventlog", when: always },
  { says: "changes how files are protected", programs: "chattr setfacl", when: always },
  {
    says: "changes how the system starts or what it is",
    programs: "bcdedit bootrec efibootmgr grub-install update-grub sysctl modprobe insmod rmmod kexec nvram csrutil spctl",
    when: ({ name, args }) => name !== "sysctl" || args.some((each) => /^-w$|=|^-p/.test(each)),
  },
  { says: "deletes backups of the system", programs: "vssadmin wbadmin tmutil", when: any(sub("delete|resize"), sub("disable")) },
  { says: "deletes backups of the system", programs: "wmic", when: arg(/^delete$/i) },
  { says: "changes the registry", programs: "reg", when: sub("delete|add|import|restore|load|unload|copy") },
  { says: "changes the registry", programs: "regedit", when: always },
  {
    says: "removes software from this machine",
    programs: "apt apt-get aptitude dnf yum zypper brew pacman apk snap choco winget scoop flatpak",
    when: any(sub("remove|purge|autoremove|erase|uninstall|del"), arg(/^-R[a-z]*$/)),
  },
  {
    says: "lets others run commands here, or sends a shell elsewhere",
    programs: "nc ncat netcat nc.openbsd nc.traditional",
    when: any(opt("ec", "exec", "sh-exec"), arg(/^-[a-z]*[ec]$/)),
  },
  { says: "lets others run commands here, or sends a shell elsewhere", programs: "socat", when: arg(/^(?:exec|system|shell)(?::|$)/i) },
];
