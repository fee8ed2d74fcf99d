/** Owns the admin listener and the control socket: what is seen from outside, read-only over TCP. */
import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import type { AirgapServices } from '../airgap/airgap.ts';
import type { ImportRequest } from '../airgap/commands.ts';
import {
  readCarried,
  readExportRequest,
  readImportRequest,
  readPinRequest,
  readPrewarmRequest,
  readReferences,
  readRemoveRequest,
} from '../airgap/requests.ts';
import type { Logger } from '../log.ts';
import { RefusedError } from '../refused-error.ts';
import type { Misses } from '../store/misses.ts';
import type { VerifyEvent } from '../store/verify.ts';
import type { OfflineSwitch } from '../upstream/offline-switch.ts';
import {
  type AdminRoutes,
  answerByRoute,
  headed,
  json,
  lines,
  parseJson,
  readJson,
  text,
} from './answers.ts';
import { chooseFormat, expose } from './exposition.ts';
import type { History } from './history.ts';
import type { ImageBrowser } from './image-browser.ts';
import { listMisses, type MissesPage } from './misses.ts';
import { mayHearNames, type NamesPolicy } from './names.ts';
import type { PageFileName, PageFiles } from './page-files.ts';
import { MAX_TOLD, readCount, readImageQuery } from './queries.ts';
import {
  type ImageStatus,
  type OfflineState,
  type Readiness,
  type ReloadReport,
  type Status,
  withoutNames,
} from './status.ts';

/** Everything that can be asked of a running hubcap, over TCP or the socket. */
export interface AdminServices {
  metrics: Registry;
  status: () => Status;
  images: () => Iterable<ImageStatus>;
  browser: ImageBrowser;
  history: History;
  page: PageFiles;
  /** who is told names over TCP */
  names: () => NamesPolicy;
  /** @throws RefusedError at once */
  verify: (reference: string | undefined) => AsyncIterable<VerifyEvent>;
  /** @throws RefusedError where the configuration cannot be used */
  reload: () => Promise<ReloadReport>;
  offline: OfflineSwitch;
  misses: Misses;
  airgap: AirgapServices;
  /** tries what serving needs; the reasons why it is not ready, empty where it is */
  notReady: () => Promise<string[]>;
  log: Logger;
}

const READ_LIMITS = {
  headersTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  maxHeaderSize: 16 * 1024,
};

/** Who asks and then takes nothing of the answer is not waited for longer. */
const ADMIN_IDLE_MS = 60_000;
/** Open files are for those who pull; forty pages that are open have room. */
const MAX_CONNECTIONS = 256;

/**
 * An archive takes as long to come as it takes, and a bundle to be read. Who neither sends nor takes anything for this
 * long has gone; while an import tells how far it is, its sender may be as slow as it likes.
 */
const CONTROL_IDLE_MS = 10 * 60_000;
/** What an import is to do stands before the archive, in the request's line: with as many names as a command takes. */
const CONTROL_LIMITS = { ...READ_LIMITS, requestTimeout: 0, maxHeaderSize: 1024 * 1024 };

/** Makes the TCP listener's server; it is not listening yet. */
export function createAdminServer(services: AdminServices): Server {
  const server = createServer(READ_LIMITS, (request, response) => {
    answerByRoute(request, response, ADMIN_ROUTES, services);
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server.setTimeout(ADMIN_IDLE_MS);
}

/** Makes the control socket's server. Who may connect may ask for everything: the socket's mode is the permission. */
export function createControlServer(services: AdminServices): Server {
  return createServer(CONTROL_LIMITS, (request, response) => {
    answerByRoute(request, response, CONTROL_ROUTES, services);
  }).setTimeout(CONTROL_IDLE_MS);
}

const ADMIN_ROUTES: AdminRoutes<AdminServices> = {
  '/metrics': {
    method: 'GET',
    answer: async ({ metrics }, _query, _body, { headers }) => {
      const page = await expose(metrics, chooseFormat(headers.accept));
      return { status: 200, ...page, headers: { vary: 'accept, accept-encoding' } };
    },
  },
  '/healthz': { method: 'GET', answer: () => text(200, 'ok\n') },
  '/readyz': {
    method: 'GET',
    answer: async ({ notReady }) => {
      const reasons = await notReady();
      return reasons.length === 0 ? text(200, 'ready\n') : text(503, `${reasons.join('\n')}\n`);
    },
  },
  '/api/ready': {
    method: 'GET',
    answer: async ({ notReady }) => json(200, { reasons: await notReady() } satisfies Readiness),
  },
  '/api/status': {
    method: 'GET',
    answer: ({ status, names }, _query, _body, caller) => {
      const tellsNames = mayHearNames(names(), caller);
      return json(200, { ...(tellsNames ? status() : withoutNames(status())), tellsNames });
    },
  },
  '/api/history': {
    method: 'GET',
    answer: ({ history }, query) =>
      json(200, history.since(readCount(query, 'since', 0, Number.MAX_SAFE_INTEGER))),
  },
  '/api/images': {
    method: 'GET',
    answer: async ({ browser, names }, query, _, caller) => {
      if (!mayHearNames(names(), caller)) return text(403, NO_NAMES);
      return json(200, await browser.page(readImageQuery(query)));
    },
  },
  '/api/misses': {
    method: 'GET',
    answer: ({ misses, names }, query, _, caller) => {
      if (!mayHearNames(names(), caller)) return text(403, NO_NAMES);
      return json(200, firstMisses(misses, readCount(query, 'limit', 100, MAX_TOLD)));
    },
  },
  '/': pageFile('index.html'),
  '/page.js': pageFile('page.js'),
  '/style.css': pageFile('style.css'),
  '/icon.svg': pageFile('icon.svg'),
};

function pageFile(name: PageFileName): AdminRoutes<AdminServices>[string] {
  return { method: 'GET', answer: ({ page }, _query, _body, caller) => page.answer(name, caller) };
}

const NO_NAMES =
  'names of images are told to whoever asks from the machine of hubcap, as http://localhost or http://127.0.0.1: ' +
  'use `hubcap images` and `hubcap misses` there, or set adminNames: everyone in its configuration\n';

function firstMisses(misses: Misses, limit: number): MissesPage {
  const first = [...listMisses(misses.list()).take(limit)];
  return { total: misses.lines, misses: first };
}

/** Names of what is asked for are for who may read the data directory. */
const CONTROL_ROUTES: AdminRoutes<AdminServices> = {
  '/v1/reload': { method: 'POST', answer: async ({ reload }) => json(200, await reload()) },
  '/v1/offline': { method: 'POST', answer: ({ offline }, query) => json(200, turn(offline, query)) },
  '/v1/status': { method: 'GET', answer: ({ status }) => json(200, status()) },
  '/v1/images': { method: 'GET', answer: ({ images }) => lines(images()) },
  '/v1/misses': { method: 'GET', answer: ({ misses }) => lines(listMisses(misses.list())) },
  '/v1/misses/clear': { method: 'POST', answer: ({ misses }) => json(200, { cleared: misses.clear() }) },
  '/v1/verify': {
    method: 'POST',
    answer: ({ verify }, query) => lines(verify(query.get('reference') ?? undefined)),
  },
  '/v1/prewarm': {
    method: 'POST',
    answer: async ({ airgap }, _, body) => lines(airgap.prewarm(readPrewarmRequest(await readJson(body)))),
  },
  '/v1/pins': { method: 'GET', answer: ({ airgap }) => lines(airgap.pins()) },
  '/v1/pin': {
    method: 'POST',
    answer: async ({ airgap }, _, body) => json(200, await airgap.pin(readPinRequest(await readJson(body)))),
  },
  '/v1/unpin': {
    method: 'POST',
    answer: async ({ airgap }, _, body) =>
      json(200, await airgap.unpin(readReferences(await readJson(body)))),
  },
  '/v1/remove': {
    method: 'POST',
    answer: async ({ airgap }, _, body) =>
      json(200, await airgap.remove(readRemoveRequest(await readJson(body)))),
  },
  '/v1/export': {
    method: 'POST',
    answer: async ({ airgap }, _, body) => {
      const { plan, bundle } = await airgap.export(readExportRequest(await readJson(body)));
      return headed(plan, bundle);
    },
  },
  '/v1/import/check': {
    method: 'POST',
    answer: async ({ airgap }, _, body) => {
      await airgap.checkImport(readCarried(await readJson(body)));
      return json(200, {});
    },
  },
  '/v1/import': {
    method: 'POST',
    answer: ({ airgap }, query, body) => lines(airgap.import(importRequestOf(query), body)),
  },
};

/** @param query `request=JSON`: the archive is the body */
function importRequestOf(query: URLSearchParams): ImportRequest {
  return readImportRequest(parseJson(query.get('request') ?? ''));
}

/** @param query `state=on|off` */
function turn(offline: OfflineSwitch, query: URLSearchParams): OfflineState {
  const state = query.get('state');
  if (state !== 'on' && state !== 'off') throw new RefusedError(400, 'say state=on or state=off');
  const isChanged = offline.set(state === 'on');
  return { isOffline: offline.isOffline(), isChanged };
}
