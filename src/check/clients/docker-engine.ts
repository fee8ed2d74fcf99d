/** Owns what the Docker that runs here says of itself: its mirrors may be older than its file. */
import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { type Finding, voiceOf } from '../check.ts';
import { stepSignal, within } from '../deadline.ts';
import { type FoundFlag, flagsIn } from './docker-flags.ts';
import { valueIn } from './toml.ts';

const say = voiceOf('clients');
const STEP_MS = 4_000;

/** @returns the mirrors that the daemon behind a socket uses; undefined where nobody says it */
export async function runningMirrors(socketPath: string, signal: AbortSignal): Promise<string[] | undefined> {
  try {
    const info = await askInfo(socketPath, stepSignal(signal, STEP_MS));
    const mirrors = valueIn(info, 'RegistryConfig', 'Mirrors') ?? [];
    return Array.isArray(mirrors) ? mirrors.filter((one) => typeof one === 'string') : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined; // it does not run, or this user may not ask
  }
}

/** @param wanted what daemon.json has. @param running what the daemon uses */
export function compareMirrors(wanted: readonly string[], running: readonly string[]): Finding[] {
  const plain = (list: readonly string[]): string =>
    list
      .map((one) => one.replace(/\/$/, ''))
      .sort()
      .join(' ');
  if (plain(wanted) === plain(running)) return [];
  const message = `the running Docker uses ${running.length === 0 ? 'no mirror' : 'other mirrors'}: daemon.json was changed since`;
  return [say.warning('docker.not-reloaded', message, '`systemctl reload docker`')];
}

/** @returns the flags of each dockerd that runs here, as far as this user may see it */
export async function runningFlags(): Promise<FoundFlag[]> {
  const names = await readdir('/proc').catch(() => []); // not on this system
  const found = await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (pid) => {
        const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0'); // it may have ended
        const isDockerd = /(?:^|\/)dockerd$/.test(args[0] ?? '');
        // One with a file of its own is none of daemon.json's.
        const isOther = args.some(
          (arg) => /^--config-file(?:=|$)/.test(arg) && !arg.endsWith('/etc/docker/daemon.json'),
        );
        return isDockerd && !isOther ? flagsIn(args, `the running dockerd (process ${pid})`) : [];
      }),
  );
  return found.flat();
}

async function askInfo(socketPath: string, signal: AbortSignal): Promise<unknown> {
  const answer = new Promise<unknown>((resolve, reject) => {
    const call = request({ socketPath, path: '/info', agent: false, signal }, (response) => {
      if (response.statusCode === 200) json(response).then(resolve, reject);
      else reject(new Error(`Docker answers ${response.statusCode}`));
    });
    call.on('error', reject);
    call.end();
  });
  return await within(answer, signal, STEP_MS);
}
