/** The objects of deploy/kubernetes are what Kubernetes takes, and agree with each other, the image and hubcap. */

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Secret } from 'kubernetes-models/v1/Secret';
import { Service } from 'kubernetes-models/v1/Service';
import t, { type Test } from 'tap';
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser';
import { findProgram, makeDirectory } from '../helpers/engines/needs.ts';
import { root } from './npm.ts';
import { documentsOf, type KubernetesObject, renderByHand, renderByKubectl } from './render.ts';
import { environmentOfImage, loadFrom } from './settings.ts';

const directory = join(root, 'deploy/kubernetes');
const readme = await readFile(join(directory, 'README.md'), 'utf8');

const MODELS: Record<string, new (object: never) => { validate(): void }> = {
  'apps/v1 StatefulSet': StatefulSet,
  'monitoring.coreos.com/v1 ServiceMonitor': ServiceMonitor,
  'networking.k8s.io/v1 NetworkPolicy': NetworkPolicy,
  'v1 ConfigMap': ConfigMap,
  'v1 Namespace': Namespace,
  'v1 Secret': Secret,
  'v1 Service': Service,
};

/** @throws Error where the object is not of its kind's schema */
function validate(object: KubernetesObject): void {
  const Model = MODELS[`${object.apiVersion} ${object.kind}`];
  if (Model === undefined) throw new Error('no schema', { cause: object });
  new Model(structuredClone(object) as never).validate();
}

const base = await renderByHand(directory);
const one = (kind: string, called = 'hubcap', objects = base): KubernetesObject => {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === called);
  if (found[0] === undefined || found.length > 1) throw new Error(`not one ${kind} ${called}`);
  return found[0];
};
const pod = one('StatefulSet').spec.template.spec;
const [container] = pod.containers;

t.test('every object is of its schema, alone and as the README changes it', async (t) => {
  const overlaid = await overlay(t);
  const secret = documentsOf(
    await readFile(join(directory, 'components/credentials/secret.example.yaml'), 'utf8'),
  );
  for (const object of [...base, ...(await renderByHand(overlaid)), ...secret])
    t.doesNotThrow(() => validate(object), `${object.kind} ${object.metadata.name}`);
  const [wrong] = structuredClone(base.filter(({ kind }) => kind === 'StatefulSet'));
  if (wrong) wrong.spec.template.spec.containers[0].ports[0].containerPort = 'registry';
  t.throws(() => validate(wrong as KubernetesObject), 'what is wrong would be found');
});

t.test('kubectl makes the same of it', async (t) => {
  // Debian has none that knows components: where kubectl is not there, what is worked out here has to do.
  if (findProgram('kubectl') === undefined) return t.plan(0, 'needs kubectl');
  for (const place of [directory, await overlay(t)])
    t.same(byName(await renderByKubectl(t, place)), byName(await renderByHand(place)));
});

t.test('all of it is in the namespace, which demands what the pod has', async (t) => {
  const namespace = one('Namespace');
  t.equal(namespace.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
  for (const { kind, metadata } of [...base, ...(await renderByHand(await overlay(t)))])
    if (kind !== 'Namespace')
      t.equal(metadata.namespace, namespace.metadata.name, `${kind} ${metadata.name}`);
  t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  t.same(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  t.equal(pod.automountServiceAccountToken, false);
  const { runAsUser, runAsGroup, fsGroup } = pod.securityContext;
  const dockerfile = await readFile(join(root, 'deploy/Dockerfile'), 'utf8');
  t.match(dockerfile, new RegExp(`^USER ${runAsUser}:${runAsGroup}$`, 'm'));
  t.equal(fsGroup, runAsGroup, 'the volume can be written');
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  t.equal(container.image, `hubcap:${version}`);
});

t.test('selectors and ports lead to the pod', async (t) => {
  const { selector, template, serviceName, replicas } = one('StatefulSet').spec;
  const labels = template.metadata.labels;
  const ports: Record<string, number> = Object.fromEntries(
    container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  t.equal(replicas, 1, 'a store has one owner');
  t.match(labels, selector.matchLabels);
  t.equal(one('Service', serviceName).spec.clusterIP, 'None', 'what a StatefulSet wants of its service');
  for (const { spec, metadata } of base.filter(({ kind }) => kind === 'Service')) {
    t.match(labels, spec.selector);
    for (const { targetPort, port } of spec.ports)
      t.equal(ports[targetPort], port, `${metadata.name} ${port}`);
  }
  const policy = one('NetworkPolicy').spec;
  t.match(labels, policy.podSelector.matchLabels);
  const admitted = policy.ingress.flatMap((rule: { ports: { port: string }[] }) =>
    rule.ports.map(({ port }) => port),
  );
  t.same(admitted.sort(), Object.keys(ports).sort(), 'each port is for someone');
  t.ok(
    policy.ingress.every(({ from }: { from: unknown[] }) => from.length > 0),
    'and none for everyone',
  );
  for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe])
    t.equal(ports[probe.httpGet.port], ports.admin);
  const monitor = one('ServiceMonitor', 'hubcap', await renderByHand(await overlay(t)));
  const monitored = base.filter(
    ({ kind, metadata }) => kind === 'Service' && hasAll(metadata.labels, monitor.spec.selector.matchLabels),
  );
  t.same(
    monitored.map(({ metadata }) => metadata.name),
    [serviceName],
  );
  t.equal(monitor.spec.endpoints[0].port, monitored[0]?.spec.ports[0].name);
});

t.test('the configuration is one, and fits the pod', async (t) => {
  const place = await makeDirectory(t, 'kubernetes');
  await writeFile(join(place, 'hubcap.yaml'), one('ConfigMap', 'hubcap-config').data['hubcap.yaml']);
  const config = loadFrom({ ...(await environmentOfImage()), HUBCAP_CONFIG: join(place, 'hubcap.yaml') });
  const mounted = new Map(
    container.volumeMounts.map((mount: { mountPath: string; name: string }) => [mount.mountPath, mount.name]),
  );
  t.equal(
    mounted.get(config.storage.directory),
    one('StatefulSet').spec.volumeClaimTemplates[0].metadata.name,
  );
  t.equal(mounted.get('/etc/hubcap'), pod.volumes[0].name, 'where hubcap looks for hubcap.yaml');
  t.equal(pod.volumes[0].configMap.name, 'hubcap-config');
  t.same(
    [config.listen.port, config.admin.port],
    container.ports.map(({ containerPort }: { containerPort: number }) => containerPort),
  );
  t.same([config.listen.host, config.admin.host], ['', ''], 'probes come from outside of the pod');
  t.ok(pod.terminationGracePeriodSeconds * 1000 > config.http.drainMs, 'it may drain');
  t.equal(config.adminNames, 'loopback');
  t.ok(config.upstreams.size >= 4);
  for (const { url } of config.upstreams.values())
    t.equal(
      url.port || '443',
      String(one('NetworkPolicy').spec.egress[1].ports[0].port),
      `${url.host} can be reached`,
    );
});

t.test('an account comes from a secret', async (t) => {
  const { containers, volumes } = one('StatefulSet', 'hubcap', await renderByHand(await overlay(t))).spec
    .template.spec;
  const [secret] = documentsOf(
    await readFile(join(directory, 'components/credentials/secret.example.yaml'), 'utf8'),
  );
  if (secret === undefined) throw new Error('no example');
  const [username, file] = containers[0].env;
  t.equal(username.valueFrom.secretKeyRef.name, secret.metadata.name);
  t.ok(username.valueFrom.secretKeyRef.key in secret.stringData);
  const [volume] = volumes.filter(({ secret }: { secret?: object }) => secret !== undefined);
  t.equal(volume.secret.secretName, secret.metadata.name);
  t.ok(volume.secret.items[0].key in secret.stringData);
  const [mount] = containers[0].volumeMounts.filter((one: { name: string }) => one.name === volume.name);
  t.equal(file.value, `${mount.mountPath}/${volume.secret.items[0].path}`);
  const place = await makeDirectory(t, 'secret');
  await writeFile(join(place, 'password'), secret.stringData.password);
  const config = loadFrom({ [username.name]: 'someone', [file.name]: join(place, 'password') });
  t.match(config.upstreams.get('docker.io')?.credentials, [
    { username: 'someone', password: secret.stringData.password },
  ]);
  t.match(
    one('StatefulSet', 'hubcap', await renderByHand(await overlay(t))).spec.template.spec.containers[0].image,
    /^registry\.example\//,
  );
});

t.test('nodes are told of the port that there is', async (t) => {
  const [, hosts = ''] = /```toml\n([\s\S]*?)```/.exec(readme) ?? [];
  const { server, host } = getStaticTOMLValue(parseTOML(hosts)) as { server: string; host: object };
  const [url = ''] = Object.keys(host);
  t.equal(new URL(url).port, String(one('Service').spec.ports[0].nodePort));
  t.equal(server, 'https://registry-1.docker.io');
  t.match(readme, `port ${one('Service').spec.ports[0].nodePort}`);
});

/** The README's overlay, beside a copy of the files. @returns its directory */
async function overlay(t: Test): Promise<string> {
  const place = await makeDirectory(t, 'overlay');
  await cp(directory, join(place, 'hubcap/deploy/kubernetes'), { recursive: true });
  await mkdir(join(place, 'overlay'));
  const [, text = ''] = /```yaml\n([\s\S]*?)```/.exec(readme) ?? [];
  await writeFile(join(place, 'overlay/kustomization.yaml'), text);
  return join(place, 'overlay');
}

function byName(objects: KubernetesObject[]): Record<string, KubernetesObject> {
  return Object.fromEntries(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));
}

function hasAll(labels: Record<string, string> | undefined, wanted: Record<string, string>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}
