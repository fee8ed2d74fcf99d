/** Owns the description of the machine that a run was made on. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';

/** One line; no paths, no host name. */
export function describeMachine(): string {
  const model = (cpus()[0]?.model ?? 'unknown processor').replace(/\s+/g, ' ').trim();
  const gibibytes = Math.round(totalmem() / 1024 ** 3);
  return `${availableParallelism()} cores (${model}), ${gibibytes} GiB of memory, ${type()} ${release()}, Node.js ${process.versions.node}, ${distribution()}`;
}

function distribution(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    return /^PRETTY_NAME="(.*)"$/m.exec(text)?.[1] ?? 'unknown distribution';
  } catch {
    return 'unknown distribution'; // the file is a convention, not a must
  }
}
