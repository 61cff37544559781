// What went wrong, as a sentence for who looks at the page.
export class Problem extends Error {}
