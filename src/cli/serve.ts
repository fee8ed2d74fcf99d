/** `hubcap serve`: runs the mirror until it is told to stop. */
import { once } from 'node:events';
import type { Argv, CommandModule } from 'yargs';
import { connectControl } from '../admin/control-client.ts';
import { controlPaths } from '../admin/control-path.ts';
import { printConfig } from '../config/print.ts';
import type { Config } from '../config/schema.ts';
import { type Daemon, startDaemon } from '../daemon.ts';
import { StartError } from '../listeners.ts';
import { createLogger, type Logger } from '../log.ts';
import { DirectoryInUseError } from '../store/lock.ts';
import { formatBytes } from '../units.ts';
import { explainDirectory } from './explain-directory.ts';
import { configLoader, passedSockets, withCommonOptions } from './options.ts';
import { ReportedError } from './reported-error.ts';

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  listen?: string | undefined;
  admin?: string | undefined;
  upstream?: string | undefined;
  maxSize?: string | undefined;
  offline?: boolean | undefined;
  logLevel?: string | undefined;
  logFormat?: string | undefined;
  printConfig?: boolean | undefined;
}

export function serve(version: string): CommandModule<object, Options> {
  return {
    command: 'serve',
    describe: 'run the mirror',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('listen', {
          type: 'string',
          requiresArg: true,
          describe: 'address of the registry mirror (default: 127.0.0.1:5000)',
        })
        .option('admin', {
          type: 'string',
          requiresArg: true,
          describe: 'address for metrics, health and the status page (default: 127.0.0.1:5001)',
        })
        .option('upstream', {
          type: 'string',
          requiresArg: true,
          describe: "URL of the default upstream, in place of Docker Hub's",
        })
        .option('max-size', {
          type: 'string',
          requiresArg: true,
          describe: 'byte budget of the store: 50GiB, or 50% of the file system (the default)',
        })
        .option('offline', { type: 'boolean', describe: 'ask no upstream; serve what is known' })
        .option('log-level', {
          type: 'string',
          requiresArg: true,
          describe: 'trace, debug, info, warn or error (default: info)',
        })
        .option('log-format', {
          type: 'string',
          requiresArg: true,
          describe: 'json, text or auto (default: auto: text on a terminal)',
        })
        .option('print-config', {
          type: 'boolean',
          describe: 'show the effective configuration with secrets hidden, and end',
        })
        .example('$0 serve', 'mirror Docker Hub on 127.0.0.1:5000')
        .example('$0 serve --listen :5000 --max-size 200GiB --data /var/lib/hubcap', 'for other machines')
        .example('$0 serve --config /etc/hubcap/hubcap.yaml --print-config', 'see what a file means')
        .epilogue(
          'SIGHUP, or `hubcap reload`, has it read the configuration again; SIGTERM lets what runs finish.',
        ),
    handler: async ({ printConfig: isPrinting, ...flags }) => {
      const load = configLoader(flags);
      const config = load();
      if (isPrinting) process.stdout.write(printConfig(config));
      else await run(config, load, version);
    },
  };
}

async function run(config: Config, load: () => Config, version: string): Promise<void> {
  const { log, flush } = await createLogger(config.log);
  const hangUps = listenForHangUps();
  // From the beginning: clients are served before all of the daemon is there, and may finish.
  const told = firstSignal();
  let daemon: Daemon;
  try {
    daemon = await startDaemon(config, log, version, { load, inherited: passedSockets() });
  } catch (error) {
    throw await explainStart(error, config);
  }
  announce(daemon, config, log);
  await flush();
  hangUps(() => daemon.reload().catch(() => undefined)); // the log says why
  process.on('uncaughtExceptionMonitor', (error) => {
    process.stderr.write(`hubcap ends because of a fault of its own: ${error.stack}\n`);
  });
  const signal = await told;
  log.info({ signal }, 'stopping: responses and downloads may finish');
  const atOnce = new AbortController();
  firstSignal().then(() => atOnce.abort());
  await daemon.close(atOnce.signal);
  log.info('stopped');
  await flush();
}

/** Says where hubcap listens, what it mirrors, where it stores, and what Docker needs: one line or, for people, a few. */
function announce(daemon: Daemon, config: Config, log: Logger): void {
  const { listen, admin, store, directory, isOffline } = daemon.status();
  const daemonJson = JSON.stringify({ 'registry-mirrors': [listen] });
  const mirrors = [...config.upstreams.values()].map(({ host, url }) => `${host} (${url.href})`);
  const [stored, maxSize] = [formatBytes(store.bytes), formatBytes(store.maxBytes)];
  if (config.log.format === 'json') {
    log.info({ listen, admin, mirrors, directory, stored, maxSize, isOffline, daemonJson }, 'ready');
    return;
  }
  const lines = [
    `hubcap listens on ${listen}, with metrics and status on ${admin}`,
    `  mirrors  ${mirrors.join(', ')}${isOffline ? ', offline: nothing is asked' : ''}`,
    `  stores   ${stored} of at most ${maxSize} in ${directory}`,
    `  Docker   ${daemonJson}  in /etc/docker/daemon.json, then: systemctl reload docker`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/**
 * SIGHUP asks for the configuration to be read again. From the beginning, where it would end the process.
 * @returns what has every hang-up told to `told`, one before that included
 */
function listenForHangUps(): (told: () => void) => void {
  let wasEarly = false;
  let tell = (): void => {
    wasEarly = true;
  };
  process.on('SIGHUP', () => tell());
  return (told) => {
    tell = told;
    if (wasEarly) told();
  };
}

async function firstSignal(): Promise<string> {
  const wait = (name: NodeJS.Signals): Promise<string> => once(process, name).then(() => name);
  return await Promise.race([wait('SIGTERM'), wait('SIGINT')]);
}

async function explainStart(error: unknown, config: Config): Promise<unknown> {
  if (error instanceof StartError) return new ReportedError(error.message, error);
  if (error instanceof DirectoryInUseError)
    return new ReportedError(await describeOwner(error, config), error);
  return explainDirectory(error, config);
}

async function describeOwner(error: DirectoryInUseError, config: Config): Promise<string> {
  const remedy = 'stop it, or choose another directory with --data DIR';
  try {
    const owner = await connectControl(controlPaths(config.storage.directory, config.control));
    const found = await owner?.status();
    if (found) return `${error.message}: process ${found.pid}, listening on ${found.listen}; ${remedy}`;
  } catch {
    // it holds the lock and does not answer: it is starting or stopping, and has no name yet
  }
  return `${error.message}; ${remedy}`;
}
