/** Owns the settings that podman and skopeo share (containers/image). */

/** Where the mirror fails podman asks `location`, of which a test must see nothing: nobody listens there. */
export function mirrorRegistries(mirrorHost: string): string {
  return `
unqualified-search-registries = []
[[registry]]
prefix = "docker.io"
location = "127.0.0.1:9"
insecure = true
[[registry.mirror]]
location = "${mirrorHost}"
insecure = true
`;
}

/** Another registry's images by two ways that lead to the same mirror: tags by one, digests by the other. */
export function mirrorWithPrefix(mirrorHost: string, registryHost: string): string {
  const mirror = (what: string) => `
[[registry.mirror]]
location = "${mirrorHost}/${registryHost}"
insecure = true
pull-from-mirror = "${what}"
`;
  return `
unqualified-search-registries = []
[[registry]]
prefix = "${registryHost}"
location = "127.0.0.1:9"
insecure = true
${mirror('tag-only')}${mirror('digest-only')}`;
}

/** A signature policy that asks for no signature. */
export const acceptAnything = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] });
