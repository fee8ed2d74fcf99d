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

/** A signature policy that asks for no signature. */
export const acceptAnything = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] });
