/** `hubcap setup`: what a client needs so that it pulls through hubcap, printed or put into its files. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { type Change, changesToUndo, changesToWrite } from '../clients/changes.ts';
import { UneditableError } from '../clients/edits/file-edit.ts';
import {
  type FileClient,
  findMirrored,
  isFileClient,
  planFor,
  planUndo,
  registriesYaml,
} from '../clients/plan.ts';
import { FileError } from '../clients/replace-file.ts';
import { RootFiles } from '../clients/root-files.ts';
import { type ClientName, type ClientSnippet, clientNames, snippetFor } from '../clients/snippet.ts';
import { RKE2_REGISTRIES } from '../clients/snippets/k3s.ts';
import { allValues, oneValue, withCommonOptions } from './options.ts';
import { ReportedError } from './reported-error.ts';
import { changesDocument, describeChanges, describeSnippet } from './setup-report.ts';
import { parseOrigin, parseUpstream, type SetupWish, wishFrom } from './setup-wish.ts';

interface Options {
  client: ClientName;
  url?: string | undefined;
  upstream?: string[] | undefined;
  write?: boolean | undefined;
  undo?: boolean | undefined;
  dryRun?: boolean | undefined;
  root?: string | undefined;
  json?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
}

export function setup(): CommandModule<object, Options> {
  return {
    command: 'setup <client>',
    describe: 'show or write what a client needs to pull through hubcap',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('client', { choices: clientNames, demandOption: true, describe: 'what pulls' })
        .option('url', {
          type: 'string',
          requiresArg: true,
          coerce: oneValue,
          describe: 'where clients reach hubcap (default: the listen address of its configuration)',
        })
        .option('upstream', {
          type: 'string',
          requiresArg: true,
          coerce: allValues,
          describe: 'a registry to mirror; can be given again (default: all of the configuration)',
        })
        .option('write', { type: 'boolean', describe: 'put it into the files of the client' })
        .option('undo', { type: 'boolean', describe: 'take it out of them again' })
        .option('dry-run', { type: 'boolean', describe: 'with --write or --undo: show what would change' })
        .option('root', {
          type: 'string',
          requiresArg: true,
          coerce: oneValue,
          describe: 'directory that is / for the client, such as a mounted image (default: /)',
        })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .conflicts('write', 'undo')
        .check(({ url, upstream, write, undo, dryRun }) => {
          if (url !== undefined) parseOrigin(url);
          for (const host of upstream ?? []) parseUpstream(host);
          if (dryRun && !write && !undo) throw new Error('--dry-run is for --write or --undo.');
          return true;
        })
        .example('$0 setup docker', 'what to put into /etc/docker/daemon.json, and what to do then')
        .example('sudo $0 setup docker --write', 'merged into the file that is there; a copy is kept')
        .example('$0 setup containerd --write --dry-run', 'what would change')
        .example('$0 setup podman --url http://10.0.0.5:5000 --upstream docker.io', 'for another machine')
        .example('sudo $0 setup k3s --undo', 'as it was; what was changed since stays')
        .epilogue(
          'What else is in a file stays as it is, comments too. To write twice is to write once, and so is to undo. A file that is not understood is not changed.',
        ),
    handler: ({ client, write, undo, dryRun, root, json, url, upstream, ...flags }) => {
      const wish = wishFrom({ url, upstream }, flags);
      const snippet = snippetFor(client, wish);
      if (write || undo) {
        const action = undo ? 'undo' : 'write';
        const asked = { client: fileClient(client, snippet), action, isDryRun: dryRun === true } as const;
        const made = reported(() => change(asked, wish, upstream !== undefined, openRoot(root)));
        process.stdout.write(json ? `${JSON.stringify(made.document, undefined, 2)}\n` : made.text);
        return;
      }
      const notes = [...wish.notes, ...snippet.notes];
      const { origin } = wish.url;
      const document = { url: origin, upstreams: wish.upstreams, ...snippet, notes };
      process.stdout.write(
        json ? `${JSON.stringify(document, undefined, 2)}\n` : describeSnippet(snippet, notes),
      );
    },
  };
}

interface Asked {
  client: FileClient;
  action: 'write' | 'undo';
  isDryRun: boolean;
}

/** @param isChosen whether the user named the registries */
function change(
  asked: Asked,
  wish: SetupWish,
  isChosen: boolean,
  files: RootFiles,
): { text: string; document: object } {
  const { client, action, isDryRun } = asked;
  // Whatever the configuration says by now: what was written is taken out.
  const upstreams = action === 'write' || isChosen ? wish.upstreams : findMirrored(client, wish.url, files);
  const meant = { url: wish.url, upstreams };
  const plan = action === 'write' ? planFor(client, meant, files) : planUndo(client, meant, files);
  const changes = action === 'write' ? changesToWrite(plan.edits, files) : changesToUndo(plan.edits, files);
  const made = changes.filter(({ kind }) => kind !== 'unchanged');
  if (!isDryRun) applyAll(made, files);
  const reload = reloadAfter(client, made, snippetFor(client, meant), files);
  const notes =
    action === 'undo' ? plan.notes : [...wish.notes, ...plan.notes, ...snippetFor(client, meant).notes];
  const shown = made.length > 0 || action === 'write' ? changes : [];
  const nothing =
    action === 'write' ? 'nothing is to be changed' : `nothing of hubcap at ${wish.url.origin} is there`;
  return {
    text: `${made.length === 0 ? `${nothing}\n` : ''}${describeChanges(shown, { reload, notes, isDryRun })}`,
    document: changesDocument(meant, changes, { client, action, isDryRun, reload, notes }),
  };
}

/** @throws what stops it, with what was done before */
function applyAll(changes: readonly Change[], files: RootFiles): void {
  for (const [index, one] of changes.entries()) {
    try {
      files.apply(one);
    } catch (error) {
      const done = changes.slice(0, index).map(({ path, kind }) => `${path}: ${kind}`);
      if (done.length === 0 || !(isExplained(error) || error instanceof UneditableError)) throw error;
      throw new ReportedError([error.message, 'Done before that:', ...done].join('\n  '), error);
    }
  }
}

/** A `hosts.toml` is read at each pull. @returns undefined where there is nothing to reload */
function reloadAfter(
  client: FileClient,
  made: readonly Change[],
  { reload }: ClientSnippet,
  files: RootFiles,
): string | undefined {
  if (made.length === 0) return undefined;
  if (made.every(({ path }) => path.endsWith('/hosts.toml')))
    return 'Nothing is to be restarted: hosts.toml files are read at each pull.';
  const isRke2 = client === 'k3s' && registriesYaml(files) === RKE2_REGISTRIES;
  return isRke2 ? 'systemctl restart rke2-server' : reload;
}

/** @throws ReportedError for a client that has no file */
function fileClient(client: ClientName, { title, files }: ClientSnippet): FileClient {
  if (isFileClient(client)) return client;
  const flags = files.map(({ text }) => text.trim()).join(' ');
  throw new ReportedError(
    `${title} has no file to write to: give these flags to its executor: ${flags}`,
    undefined,
    'configuration',
  );
}

function openRoot(root = '/'): RootFiles {
  const path = resolve(root);
  if (existsSync(path) && statSync(path).isDirectory()) return new RootFiles(path);
  throw new ReportedError(`--root ${root} is no directory`, undefined, 'configuration');
}

/** @throws ReportedError for what a user can mend */
function reported<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof UneditableError)
      throw new ReportedError(`${error.message}\nNothing was changed.`, error);
    if (isExplained(error)) throw new ReportedError(error.message, error);
    throw error;
  }
}

/** Of the file system, or of hubcap about it. */
function isExplained(error: unknown): error is Error {
  return error instanceof FileError || (error instanceof Error && 'syscall' in error);
}
