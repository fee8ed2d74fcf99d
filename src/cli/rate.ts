/** Owns how fast something goes and how long it still takes, for people. */
import { formatBytes, formatDuration } from '../units.ts';

const SECOND = 1_000;

/** @returns `20MiB/s` */
export function formatRate(bytes: number, elapsedMs: number): string {
  return `${formatBytes(elapsedMs > 0 ? Math.round((bytes * SECOND) / elapsedMs) : 0)}/s`;
}

/** @param bytes that came in `elapsedMs`. @returns `2m5s left`, empty where that cannot be told, or nothing is left */
export function formatLeft(restBytes: number, bytes: number, elapsedMs: number): string {
  if (restBytes <= 0 || bytes <= 0 || elapsedMs <= 0) return '';
  return `${formatDuration(Math.max(0, Math.ceil((restBytes / bytes) * (elapsedMs / SECOND))) * SECOND)} left`;
}
