/** Owns the check of the running daemon: whether it answers, is ready, and is what this command is. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { connectControl } from '../admin/control-client.ts';
import { controlPaths } from '../admin/control-path.ts';
import type { Status } from '../admin/status.ts';
import type { Config } from '../config/schema.ts';
import { type Finding, voiceOf } from './check.ts';
import { stepSignal, within } from './deadline.ts';

const say = voiceOf('daemon');

/** What asking the daemon came to: its status, why it cannot be asked, or that there is none. */
export type Asked = { status: Status } | { error: unknown } | undefined;

export async function askDaemon({ storage, control }: Config, signal: AbortSignal): Promise<Asked> {
  const ask = async (): Promise<Asked> => {
    const daemon = await connectControl(controlPaths(storage.directory, control));
    if (!daemon) return undefined;
    try {
      return { status: await daemon.status() };
    } finally {
      await daemon.close();
    }
  };
  try {
    return await within(ask(), signal);
  } catch (error) {
    signal.throwIfAborted();
    return { error };
  }
}

/** @param version of this command */
export async function checkDaemon(
  asked: Asked,
  config: Config,
  version: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (!asked) return [say.skipped('daemon', `no hubcap runs with ${config.storage.directory}`)];
  if ('error' in asked) return [cannotBeAsked(asked.error)];
  const { status } = asked;
  const findings = [running(status, version)];
  const reasons = await notReady(status.admin, signal);
  if (reasons === undefined) findings.push(say.ok('daemon.ready', 'it is ready'));
  else
    findings.push(
      say.failed('daemon.ready', `it is not ready: ${reasons}`, 'see its log, and the lines above', {
        reasons,
      }),
    );
  const keys = status.configuration?.needsRestart ?? [];
  if (keys.length > 0)
    findings.push(
      say.warning(
        'daemon.restart',
        `changed since it was started: ${keys.join(', ')}`,
        'restart hubcap: these hold after a restart',
        { needsRestart: keys },
      ),
    );
  if (status.isOffline)
    findings.push(
      say.warning(
        'daemon.offline',
        'it is offline: nothing that is not here can be pulled',
        '`hubcap offline off`, unless that is meant to be so',
      ),
    );
  return findings;
}

function running({ version: found, pid, listen }: Status, version: string): Finding {
  const facts = { version: found, pid, listen };
  if (found === version)
    return say.ok('daemon', `hubcap ${found} runs as process ${pid} and listens on ${listen}`, facts);
  return say.warning(
    'daemon',
    `hubcap ${found} runs as process ${pid}, and this is ${version}`,
    'restart hubcap',
    facts,
  );
}

function cannotBeAsked(error: unknown): Finding {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code === 'EACCES')
    return say.warning(
      'daemon',
      'a hubcap runs, and this user may not ask it',
      'run this as the user that hubcap runs as, or as root',
      { code },
    );
  const why = error instanceof Error ? error.message : String(error);
  return say.failed('daemon', `the running hubcap cannot be asked: ${why}`, 'see its log; restart it');
}

/** @returns undefined where it is ready, else why not */
async function notReady(admin: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (admin === undefined) return 'it has no admin listener';
  const answer = new Promise<string | undefined>((resolve, reject) => {
    const call = request(
      new URL('/readyz', admin),
      { agent: false, signal: stepSignal(signal) },
      (response) => {
        text(response).then(
          (said) => resolve(response.statusCode === 200 ? undefined : said.trim().slice(0, 300)),
          reject,
        );
      },
    );
    call.on('error', reject);
    call.end();
  });
  try {
    return await within(answer, signal);
  } catch (error) {
    signal.throwIfAborted();
    return `${admin} does not answer (${error instanceof Error ? error.message : String(error)})`;
  }
}
