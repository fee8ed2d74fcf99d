/** Owns the two sides of an air gap: a hubcap before a registry, and one that can ask nobody. */

import { join } from 'node:path';
import type { Test } from 'tap';
import { type Commands, commandsOf } from './commands.ts';
import { type Hubcap, type HubcapOptions, startHubcap } from './hubcap.ts';
import { makeDirectory } from './needs.ts';
import { type Stack, type StackOptions, startStack } from './stack.ts';

/** Nobody listens there. */
export const nowhere = 'http://127.0.0.1:9';

/** One side, and the commands that are given to its hubcap. */
export interface Side {
  hubcap: Hubcap;
  commands: Commands;
}

export interface Outside extends Side {
  stack: Stack;
  /** Ends all that there is outside. */
  stop(): Promise<void>;
}

/** Starts a hubcap before an empty registry. */
export async function startOutside(t: Test, options: StackOptions = {}): Promise<Outside> {
  const stack = await startStack(t, options);
  const { hubcap, upstream } = stack;
  return {
    stack,
    hubcap,
    commands: commandsOf(t, hubcap),
    async stop() {
      await Promise.all([hubcap.stop(), upstream.stop()]);
    },
  };
}

/** Starts an empty hubcap that is offline. */
export async function startInside(t: Test, options: Partial<HubcapOptions> = {}): Promise<Side> {
  const hubcap = await startHubcap(t, { upstreamUrl: nowhere, offline: true, ...options });
  return { hubcap, commands: commandsOf(t, hubcap) };
}

/** A directory for what is carried across. Returns paths in it. */
export async function makeStick(t: Test): Promise<(name: string) => string> {
  const directory = await makeDirectory(t, 'stick');
  return (name) => join(directory, name);
}
