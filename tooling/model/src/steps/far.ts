/** more entries than there ever are */
export const far = 1_000
