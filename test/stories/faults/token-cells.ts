/** Owns how a cell about tokens runs: the fault meets who needs a token, to begin with or to go on in the middle. */
import type { Test } from 'tap';
import { blobOf, MIB } from '../../helpers/content.ts';
import { breakingAt, isBodyFault, offsetOf, striking } from '../../helpers/faults.ts';
import type { Persona } from '../../helpers/persona-server.ts';
import { blobDownloads, inTurn, only, tokened } from '../../helpers/personas.ts';
import type { TokenServer } from '../../helpers/token-server.ts';
import { makeGate } from '../../helpers/waiting.ts';
import { type CellRun, checkOutcome, describeClient } from './cells.ts';
import { getBeside, HELD_BACK_BYTES, settledDisk, startTopology } from './topology.ts';

const blob = blobOf(3 * MIB, 'fault matrix, tokens');
const path = `/v2/team/app/blobs/${blob.digest}`;

/** `requests` of the outcome are those for tokens, `bytes` those of the blob. */
export async function runTokenCell(t: Test, cell: CellRun): Promise<void> {
  const { fault, place, isOnce, outcome } = cell;
  const { registry, tokens, mirror, never } = await startTopology(t, cell);
  registry.push('team/app', blob);
  tokens.fields = ['token']; // the middle of the answer is the middle of the token
  const shown = makeGate();
  // A head fault in the middle: the download broke there, the first token has ended, and the second is not to be had.
  const isLater = !isBodyFault(fault) && place !== 'first byte';
  const struck = isLater ? 'first byte' : place;
  const strike = striking({ fault, place: struck, isOnce, shown: Promise.resolve(), never });
  tokens.act(isLater ? inTurn([plainly], strike) : strike);
  const breaking = revoking(tokens, breakingAt(place, shown.opened));
  registry.act(tokened(tokens), only(blobDownloads, inTurn(isLater ? [breaking] : [])));
  const at = offsetOf(place, blob.body.length);
  const received = await getBeside(mirror, path, shown, {
    arrived: isLater ? at : 0,
    shown: isLater ? Math.min(at, blob.body.length - HELD_BACK_BYTES) : undefined,
  });
  const disk = await settledDisk(t, mirror, blob);
  const found = {
    client: describeClient(received, blob.body),
    requests: tokens.asked.length,
    bytes: sentBytes(registry),
    disk,
  };
  checkOutcome(t, found, outcome);

  tokens.act();
  registry.act(tokened(tokens));
  const again = await mirror.get(path);
  t.equal(describeClient(again, blob.body), 'whole', 'the next pull, of a token server that is well');
  t.equal(await settledDisk(t, mirror, blob), 'stored');
  t.equal(sentBytes(registry), blob.body.length, 'no byte was fetched twice');
}

const plainly: Persona = (_asked, answer) => answer();

function revoking(tokens: TokenServer, persona: Persona): Persona {
  return (asked, answer) => {
    tokens.revokeAll();
    return persona(asked, answer);
  };
}

/** Of the blob, not of challenges. */
function sentBytes({ asked }: { asked: readonly { status: number; bytes: number }[] }): number {
  return asked.filter(({ status }) => status !== 401).reduce((sum, { bytes }) => sum + bytes, 0);
}
