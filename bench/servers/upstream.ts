/** Owns the upstream of the comparisons: a registry with content that was pushed to it. */
import { Push } from '../../test/helpers/engines/push.ts';
import { startTokenServer } from '../../test/helpers/engines/token-server.ts';
import type { Teardown } from '../teardown.ts';
import { type DockerRegistry, startDockerRegistry } from './docker-registry.ts';

export interface Upstream extends DockerRegistry {
  /** Opens a repository for pushing. */
  push(repository: string): Promise<Push>;
}

/**
 * A registry that wants no tokens, so that the price of checking them is nobody's. The token server is there
 * because pushing (shared with the tests) asks one; the registry ignores what it gives.
 */
export async function startUpstream(teardown: Teardown): Promise<Upstream> {
  const tokens = await startTokenServer(teardown.asTest());
  const registry = await startDockerRegistry(teardown);
  return { ...registry, push: (repository) => Push.open(registry.url, tokens, repository) };
}
