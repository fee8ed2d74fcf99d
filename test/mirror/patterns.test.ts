import t from 'tap';
import { compilePattern, isListed, ttlOf } from '../../src/mirror/patterns.ts';

const cases: [pattern: string, repository: string, tag: string | undefined, matches: boolean][] = [
  ['library/alpine', 'library/alpine', 'latest', true],
  ['library/alpine', 'library/alpine2', 'latest', false],
  ['library/alpine', 'my/library/alpine', 'latest', false],
  ['library/*', 'library/alpine', 'latest', true],
  ['library/*', 'library/', 'latest', true],
  ['library/*', 'library', 'latest', false],
  ['library/*', 'library/a/b', 'latest', true],
  ['*', 'a/b', 'latest', true],
  ['**', 'a/b', 'latest', true],
  ['*/app', 'team/app', 'v1', true],
  ['*/app', 'app', 'v1', false],
  ['team/*/app', 'team/a/b/app', 'v1', true],
  ['team/*/app', 'team/app', 'v1', false],
  ['a*b*c', 'abc', 'v1', true],
  ['a*b*c', 'a-b-b-c', 'v1', true],
  ['a*b*c', 'a-c-b', 'v1', false],
  ['ab*ba', 'aba', 'v1', false],
  ['a*ab*b', 'ab', 'v1', false],
  ['a*xb*b', 'axb', 'v1', false],
  ['*:latest', 'team/app', 'latest', true],
  ['*:latest', 'team/app', 'latest2', false],
  ['team/*:v1.*', 'team/app', 'v1.2', true],
  ['team/*:v1.*', 'team/app', 'v1x2', false],
  ['team/*:v1.*', 'other/app', 'v1.2', false],
  ['team/*:*', 'team/app', undefined, false],
  ['team/*', 'team/app', undefined, true],
  ['te.m/app', 'team/app', 'v1', false],
];

t.test('what a pattern matches', async (t) => {
  for (const [pattern, repository, tag, matches] of cases) {
    t.equal(compilePattern(pattern)(repository, tag), matches, `${pattern} and ${repository}:${tag}`);
  }
});

t.test('a pattern that goes back in other matchers takes no longer than any', async (t) => {
  const matches = compilePattern(`${'a*'.repeat(60)}b`);
  t.equal(matches('a'.repeat(250), 'v1'), false);
  t.equal(matches(`${'a'.repeat(250)}b`, 'v1'), true);
});

t.test('the first rule that matches says how long a tag is believed', async (t) => {
  const upstream = {
    tagTtlMs: 1,
    freshness: [
      { pattern: 'library/*:latest', ttlMs: 2 },
      { pattern: 'library/*', ttlMs: 3 },
      { pattern: '*:latest', ttlMs: 4 },
    ],
  };
  t.equal(ttlOf(upstream, 'library/alpine', 'latest'), 2);
  t.equal(ttlOf(upstream, 'library/alpine', '3.20'), 3);
  t.equal(ttlOf(upstream, 'team/app', 'latest'), 4);
  t.equal(ttlOf(upstream, 'team/app', 'v1'), 1);
  upstream.freshness = [{ pattern: '*', ttlMs: 5 }];
  t.equal(ttlOf(upstream, 'team/app', 'v1'), 5, 'a new list is compiled anew');
});

t.test('a list of repositories', async (t) => {
  t.equal(isListed([], 'team/app'), false);
  t.equal(isListed(['other', 'team/*'], 'team/app'), true);
  t.equal(isListed(['other', 'team'], 'team/app'), false);
  t.equal(isListed(['team/app:v1'], 'team/app'), false, 'a pattern with a tag opens nothing');
});
