/** Owns the check of the two listeners: free, held by the hubcap of this data directory, or by somebody else. */
import { createServer } from 'node:http';
import { formatAddress } from '../config/address.ts';
import type { Address } from '../config/schema.ts';
import { drain, listenOn, StartError } from '../listeners.ts';
import { type Finding, voiceOf } from './check.ts';
import { portHolder } from './port-holder.ts';

const say = voiceOf('ports');

export interface PortCheck {
  option: 'listen' | 'admin';
  address: Address;
  /** where the hubcap of this data directory has this listener: a URL; undefined where none runs */
  running: string | undefined;
  /** somebody holds the data directory and does not answer: it may be about to listen here */
  isStarting: boolean;
}

export async function checkPort({ option, address, running, isStarting }: PortCheck): Promise<Finding> {
  const shown = formatAddress(address);
  const facts = { address: shown };
  const id = `port.${option}`;
  if (running !== undefined) return judgeRunning(id, option, address, running);
  if (isStarting)
    return say.skipped(id, `${option} ${shown}: not tried, as a hubcap is starting or stopping`, facts);
  const server = createServer();
  try {
    await listenOn(server, address, option);
    return say.ok(
      id,
      address.port === 0 ? `${option} ${shown}: any free port` : `${option} ${shown} is free`,
      facts,
    );
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const holder = await portHolder(address.port);
    const by = holder && `by ${holder.name || 'a process'} (process ${holder.pid})`;
    const [what = '', ...advice] = error.message.split(/(?<=^[^:]*:\d+.*?): /s);
    const message = by ? `${option} ${shown} is taken ${by}` : `${option} ${what}`;
    const remedy = by
      ? `stop it, or choose another address with --${option} HOST:PORT`
      : advice.join(': ') || `choose another address with --${option} HOST:PORT`;
    return say.failed(id, message, remedy, { ...facts, ...(holder && { holder }) });
  } finally {
    await drain(server, AbortSignal.abort());
  }
}

/** The port may be any (0), the host all of them: what was asked for can be told by the port alone. */
function judgeRunning(id: string, option: string, address: Address, running: string): Finding {
  const port = Number(new URL(running).port) || 80;
  const facts = { address: formatAddress(address), running };
  if (address.port === 0 || port === address.port)
    return say.ok(
      id,
      `${option} ${formatAddress(address)} is held by the hubcap of this data directory`,
      facts,
    );
  const message = `${option} is ${formatAddress(address)} here, and the running hubcap has ${new URL(running).host}`;
  return say.warning(
    id,
    message,
    'restart hubcap, or give this command the options that hubcap was started with',
    facts,
  );
}
