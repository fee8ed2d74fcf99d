import t from 'tap';
import { toRegistryError } from '../../src/mirror/failures.ts';
import { isToBeNoted, refusalOf } from '../../src/mirror/miss-reason.ts';
import {
  blobUnknown,
  denied,
  invalid,
  manifestUnknown,
  nameUnknown,
  offlineUnknown,
  RegistryError,
  tooManyRequests,
  unavailable,
} from '../../src/oci/registry-error.ts';
import { StoreClosingError } from '../../src/store/errors.ts';
import { type FailureReason, UpstreamError } from '../../src/upstream/errors.ts';

function shown(reason: FailureReason): RegistryError {
  const error = toRegistryError('a', new UpstreamError('it failed', { reason, host: 'registry.test' }));
  if (error instanceof RegistryError) return error;
  throw new Error(`${reason} has no answer`);
}

t.test('why, in one word, and whether it is worth noting', async (t) => {
  const cases: [
    error: RegistryError,
    reason: string | undefined,
    cause: string | undefined,
    isNoted: boolean,
  ][] = [
    [manifestUnknown('a'), 'absent', undefined, false],
    [blobUnknown('a'), 'absent', undefined, false],
    [nameUnknown('a'), 'absent', undefined, false],
    [offlineUnknown('a', 'BLOB_UNKNOWN'), 'offline', undefined, true],
    [shown('offline'), 'offline', undefined, true],
    [denied('a'), 'denied', undefined, true],
    [tooManyRequests('registry.test', 5), 'throttled', undefined, true],
    [shown('throttled'), 'throttled', undefined, true],
    [shown('dns'), 'unavailable', 'dns', true],
    [shown('server-error'), 'unavailable', 'server-error', true],
    [unavailable('other bytes', 502, 5), 'unavailable', 'wrong-content', true],
    [shown('stopped'), 'unavailable', 'stopping', false],
    [unavailable('it is stopping', 503, 5, new StoreClosingError()), 'unavailable', 'stopping', false],
    [invalid('TAG_INVALID', 'no tag'), undefined, undefined, false],
    [new RegistryError('no such range', { code: 'RANGE_INVALID', status: 416 }), undefined, undefined, false],
    [new RegistryError('ours', { code: 'UNKNOWN', status: 500 }), undefined, undefined, false],
  ];
  for (const [error, reason, cause, isNoted] of cases) {
    const refusal = refusalOf(error);
    t.same([refusal?.reason, refusal?.cause], [reason, cause], error.message);
    t.equal(refusal !== undefined && isToBeNoted(refusal), isNoted, error.message);
  }
});
