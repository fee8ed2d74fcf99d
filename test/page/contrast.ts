/** Owns finding text that does not stand out from what is behind it (WCAG 2.2, 1.4.3). Runs in the browser, as one piece. */

export interface Contrasts {
  looked: number;
  /** `2.85 the text` */
  faults: string[];
}

/** Looks at all text that can be seen. */
export function contrastFaults(): Contrasts {
  type Colour = [red: number, green: number, blue: number, alpha: number];
  const parse = (text: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [red, green, blue, alpha];
  };
  const over = ([red, green, blue, alpha]: Colour, below: Colour): Colour => {
    const mix = (a: number, b: number): number => a * alpha + b * (1 - alpha);
    return [mix(red, below[0]), mix(green, below[1]), mix(blue, below[2]), 1];
  };
  const backgroundOf = (element: Element | null): Colour => {
    if (!element) return [255, 255, 255, 1];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, backgroundOf(element.parentElement));
  };
  const luminance = (colour: Colour): number => {
    const [red = 0, green = 0, blue = 0] = colour.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (a: Colour, b: Colour): number => {
    const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found: Contrasts = { looked: 0, faults: [] };
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent?.trim() ?? '';
    const element = walker.currentNode.parentElement;
    if (
      !element ||
      text === '' ||
      element.closest('.hidden, noscript, [aria-hidden=true]') ||
      !element.checkVisibility()
    )
      continue;
    found.looked += 1;
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const size = Number.parseFloat(fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
    const background = backgroundOf(element);
    const contrast = ratio(over(parse(color), background), background);
    if (contrast < (isLarge ? 3 : 4.5)) found.faults.push(`${contrast.toFixed(2)} ${text.slice(0, 60)}`);
  }
  return found;
}
