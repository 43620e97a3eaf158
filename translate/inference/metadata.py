"""What a file says about its picture: resolution, date, author, camera. Where it was taken stays out."""

from dataclasses import dataclass

from PIL import Image
from PIL.ExifTags import IFD, Base

# Of the first directory, what describes the picture rather than its bytes; orientation is applied instead.
KEPT = (
    Base.ImageDescription, Base.Make, Base.Model, Base.DateTime, Base.Artist, Base.Copyright,
    Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject,
)  # fmt: skip
LEFT_OUT = (Base.MakerNote, Base.ExifImageWidth, Base.ExifImageHeight, Base.ExifInteroperabilityOffset)
SRGB = 1  # Base.ColorSpace


@dataclass(frozen=True)
class Metadata:
    """EXIF's two directories about the picture, its place, and dots per inch, as far as a file has them."""

    described: dict[int, object]
    taken: dict[int, object]  # the camera's directory
    location: dict[int, object]  # GPS
    dpi: tuple[float, float] | None = None

    @classmethod
    def of(cls, image: Image.Image) -> "Metadata | None":
        """What an opened file says; None where it says nothing."""
        try:
            exif = image.getexif()
            taken, location = dict(exif.get_ifd(IFD.Exif)), dict(exif.get_ifd(IFD.GPSInfo))
            described = {tag: exif[tag] for tag in KEPT if tag in exif}
        except Exception:  # damaged EXIF says nothing, and the picture is as good
            described, taken, location = {}, {}, {}
        taken = {tag: value for tag, value in taken.items() if tag not in LEFT_OUT}
        dpi = image.info.get("dpi")
        try:
            dpi = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
        except (TypeError, ValueError, ZeroDivisionError):
            dpi = None
        return cls(described, taken, location, dpi) if described or taken or location or dpi else None

    def exif(self, location: bool) -> bytes | None:
        """EXIF for the file written, with or without where the picture was taken; None where it is empty."""
        exif = Image.Exif()
        for tag, value in self.described.items():
            exif[tag] = value
        if self.taken:
            exif.get_ifd(IFD.Exif).update(self.taken)
        if location and self.location:
            exif.get_ifd(IFD.GPSInfo).update(self.location)
        if not (self.described or self.taken or (location and self.location)):
            return None
        try:
            return exif.tobytes()
        except Exception:  # values that Pillow read but cannot write
            return None
