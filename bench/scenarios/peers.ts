/** hubcap beside distribution, zot and nginx as mirrors of one registry: what they cost, and what they do in trouble. */
import { type Behaviour, type Scenario, Sheet } from '../scenario.ts';
import { isPresent, peers as known, type Peer } from '../servers/peers.ts';
import { inTurn } from '../teardown.ts';
import { observe } from './peers-behaviours.ts';
import { measureFigures } from './peers-figures.ts';

const AT_ONCE = 3;

export const peers: Scenario = {
  name: 'peers',
  describe: 'one registry mirrored by hubcap, distribution, zot and nginx, side by side',
  needs: ['docker-registry', 'nginx', 'wrk', 'curl'],
  async run(context) {
    const present = known.filter(isPresent);
    const absent = known.filter((peer) => !isPresent(peer));
    for (const { contestant, program } of absent) context.say(`${contestant} is left out: no ${program}`);
    const sheet = new Sheet();
    const behaviours: Behaviour[] = [];
    await inTurn(context.teardown, (fresh) =>
      measureFigures({ ...context, teardown: fresh }, present, sheet),
    );
    // What is seen of one does not depend on how fast the others are: most of it is waiting.
    for (let first = 0; first < present.length; first += AT_ONCE) {
      const some = present.slice(first, first + AT_ONCE);
      await Promise.all(
        some.map((peer) =>
          inTurn(context.teardown, (fresh) => observe({ ...context, teardown: fresh }, peer, behaviours)),
        ),
      );
    }
    return {
      measurements: sheet.measurements,
      checks: [],
      behaviours,
      notes: await describe(present, absent),
    };
  },
};

async function describe(present: readonly Peer[], absent: readonly Peer[]): Promise<string[]> {
  const versions = await Promise.all(
    present.map(async ({ contestant, version }) => `${contestant}: ${await version()}`),
  );
  return [
    `peers: ${versions.join('; ')}`,
    ...absent.map(({ contestant, program }) => `peers: ${contestant} was left out: no program ${program}`),
  ];
}
