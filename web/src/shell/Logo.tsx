/** The house: decoration beside its name, so it has no name of its own. */
export function Logo({ size }: { size: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--mantine-primary-color-filled)" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round">
        <path d="M6 19.5 16 8l10 11.5" />
        <path d="M10 18.5V24h12v-5.5" />
      </g>
    </svg>
  );
}
