import { always, arg, operand, sub } from "../call.ts";
import type { Danger } from "./danger.ts";

const device = /(?:^|=)\/+dev\/+(?!null$|zero$|u?random$|std(?:in|out|err)$|tty$|fd\/)/;

export const disk: readonly Danger[] = [
  {
    says: "writes straight to a device",
    programs: "dd dcfldd ddrescue pv",
    when: arg(new RegExp(`^of${device.source.slice("(?:^|=)".length).replace(/^/, "=")}`)),
  },
  {
    says: "makes, changes or wipes a file system or partition",
    programs:
      "mkfs mke2fs mkswap fdisk sfdisk cfdisk gdisk sgdisk parted wipefs blkdiscard hdparm nvme badblocks diskpart newfs partprobe " +
      "resize2fs e2label tune2fs xfs_admin",
    when: always,
  },
  {
    says: "makes, changes or wipes a file system or partition",
    programs: "diskutil",
    when: sub("erasedisk|erasevolume|partitiondisk|eraseall|reformat|zerodisk|randomdisk|secureerase|apfs|unmountdisk|unmount"),
  },
  { says: "makes, changes or wipes a file system or partition", programs: "format", when: operand(/^[a-z]:/i) },
  {
    says: "makes, changes or wipes a file system or partition",
    programs: "format-volume initialize-disk remove-partition clear-disk set-partition",
    when: always,
  },
  { says: "changes what is mounted", programs: "umount swapoff swapon losetup cryptsetup pivot_root mountvol", when: always },
  {
    says: "changes what is mounted",
    programs: "mount",
    when: ({ args }) => args.length > 0 && !args.every((each) => /^-[lhV]$|^--(?:help|version)$/.test(each)),
  },
  { says: "changes volumes", programs: "lvremove vgremove pvremove lvreduce lvresize lvcreate vgcreate pvcreate", when: always },
  { says: "changes volumes", programs: "zpool zfs", when: sub("destroy|remove|offline|rollback|create|labelclear") },
  { says: "changes volumes", programs: "btrfs", when: sub("subvolume", sub("subvolume delete")) },
  { says: "changes volumes", programs: "mdadm", when: arg(/^--(?:stop|remove|fail|zero-superblock|create)$/) },
];
