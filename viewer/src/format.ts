// Figures for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(value: number): string {
  return whole.format(value);
}

/** Three significant digits, and no more decimals than that. */
export function figure(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) >= 1000) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** Ground in square metres, hectares or square kilometres, whichever is read most easily. */
export function ground(squareMetres: number): string {
  if (squareMetres >= 1e7) return `${figure(squareMetres / 1e6)} km²`;
  if (squareMetres >= 1000) return `${figure(squareMetres / 1e4)} ha`;
  return `${figure(squareMetres)} m²`;
}

export function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function degrees(latitude: number, longitude: number): string {
  const south = latitude < 0 ? "S" : "N";
  const west = longitude < 0 ? "W" : "E";
  return `${Math.abs(latitude).toFixed(6)}° ${south}, ${Math.abs(longitude).toFixed(6)}° ${west}`;
}
