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
import { listMisses } from './misses.ts';
import {
  type ImageStatus,
  type OfflineState,
  type ReloadReport,
  type Status,
  withoutNames,
} from './status.ts';

/** Everything that can be asked of a running hubcap, over TCP or the socket. */
export interface AdminServices {
  metrics: Registry;
  status: () => Status;
  images: () => Iterable<ImageStatus>;
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
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  maxHeaderSize: 16 * 1024,
};

/**
 * An archive takes as long to come as it takes, and a bundle to be read. Who neither sends nor takes anything for this
 * long has gone; while an import tells how far it is, its sender may be as slow as it likes.
 */
const CONTROL_IDLE_MS = 10 * 60_000;
/** What an import is to do stands before the archive, in the request's line: with as many names as a command takes. */
const CONTROL_LIMITS = { ...READ_LIMITS, requestTimeout: 0, maxHeaderSize: 1024 * 1024 };

/** Makes the TCP listener's server; it is not listening yet. */
export function createAdminServer(services: AdminServices): Server {
  return createServer(READ_LIMITS, (request, response) => {
    answerByRoute(request, response, ADMIN_ROUTES, services);
  });
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
    answer: async ({ metrics }) => ({
      status: 200,
      type: metrics.contentType,
      body: await metrics.metrics(),
    }),
  },
  '/healthz': { method: 'GET', answer: () => text(200, 'ok\n') },
  '/readyz': {
    method: 'GET',
    answer: async ({ notReady }) => {
      const reasons = await notReady();
      return reasons.length === 0 ? text(200, 'ready\n') : text(503, `${reasons.join('\n')}\n`);
    },
  },
  '/api/status': { method: 'GET', answer: ({ status }) => json(200, withoutNames(status())) },
  '/': { method: 'GET', answer: () => text(200, 'hubcap: /metrics /healthz /readyz /api/status\n') },
};

/** Names of what is asked for are for who may read the data directory: the miss list is not given over TCP. */
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
