/** Owns what to do about a data directory that cannot be used, by the code that the system gives. */

export const DIRECTORY_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'give this user the right to write it',
  EPERM: 'give this user the right to write it',
  EROFS: 'its file system is mounted read-only: mount it for writing',
  ENOSPC: 'its file system is full: make room',
  EDQUOT: 'the quota is used up: make room',
  ENOTDIR: 'a part of its path is no directory',
  EIO: 'the disk has a fault: see the kernel log',
};
