import t from 'tap';
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

const cause = new Error('why');

t.test('each error has its code, its status and what to do next', async (t) => {
  const cases: [error: RegistryError, code: string, status: number, says: RegExp][] = [
    [manifestUnknown('a:b'), 'MANIFEST_UNKNOWN', 404, /a:b.*check the name/],
    [blobUnknown('a@b'), 'BLOB_UNKNOWN', 404, /a@b/],
    [nameUnknown('a'), 'NAME_UNKNOWN', 404, /check the name/],
    [denied('a', cause), 'DENIED', 403, /credentials/],
    [tooManyRequests('hub', 7, cause), 'TOOMANYREQUESTS', 429, /7 s/],
    [unavailable('down', 503, 5, cause), 'UNAVAILABLE', 503, /down/],
    [offlineUnknown('a', 'BLOB_UNKNOWN'), 'BLOB_UNKNOWN', 404, /offline/],
    [invalid('TAG_INVALID', 'no tag'), 'TAG_INVALID', 400, /no tag/],
  ];
  for (const [error, code, status, says] of cases) {
    t.ok(error instanceof RegistryError && error instanceof Error);
    t.equal(error.code, code);
    t.equal(error.status, status);
    t.match(error.message, says);
    t.equal(error.name, 'RegistryError');
  }
});

t.test('when to ask again', async (t) => {
  t.equal(tooManyRequests('hub', 7).retryAfterS, 7);
  t.equal(unavailable('down', 502, 5).retryAfterS, 5);
  t.equal(blobUnknown('a').retryAfterS, undefined);
});

t.test('causes are kept where there are any', async (t) => {
  t.equal(denied('a', cause).cause, cause);
  t.equal(unavailable('a', 504, 1, cause).cause, cause);
  t.notOk('cause' in denied('a'));
});
