"""Every situation in which an operation cannot do what it was asked to do.

The tree::

    MedserverError
    ├── ConfigError                   config.ini or a --set cannot be used
    ├── BadUsage                      a command line asks for what cannot be
    ├── RequestError                  a request from a peer that is refused
    │   ├── CannotUnderstand          bytes that cannot be read as what they claim to be
    │   │   └── DataSetTooLarge           a data set with more in it than the service reads
    │   ├── DataSetMismatch           the data set is not what the command announced
    │   ├── IdentifierMismatch        the identifier does not fit the information model
    │   ├── InvalidFrameRequest       frames are asked for in a way that has no meaning
    │   ├── NoSuchFrames              the instance has none of the frames
    │   ├── NoFrameTimes              frames are asked for by time, and theirs are not known
    │   ├── InvalidObjectInstance     a SOP Instance UID that breaks PS3.5 9.1
    │   ├── ClassInstanceConflict     an instance that is of another SOP class
    │   ├── SOPClassNotSupported      a SOP class that is not served here
    │   ├── DuplicateInstance         the instance exists with other content
    │   ├── NoSuchInstance            the instance is not in the archive
    │   ├── NotAuthorised             this AE may not use this service
    │   ├── IdentityRefused           a user that is not known, or does not prove it
    │   ├── BadRequest                a parameter or payload of an HTTP request that cannot be understood
    │   ├── UnsupportedMediaType      a payload of a media type that is not understood
    │   ├── NotAcceptable             no form of a resource that is accepted can be sent
    │   ├── MixedMediaTypes           DICOM and rendered media types are asked for at the same time
    │   ├── UnrecognisedOperation     a DIMSE operation that the SOP class does not have
    │   ├── NoSuchAction              an action that the SOP class does not have
    │   ├── NoSuchEventType           an event that the SOP class does not have
    │   ├── InvalidArgument           the information of an action or event is not what it should be
    │   ├── MissingAttribute          an attribute list without one that it must have
    │   │   └── MissingAttributeValue     or one that is empty
    │   ├── InvalidAttributeValue     an attribute with a value that it cannot have now
    │   ├── NoLongerUpdatable         a performed procedure step that is final
    │   ├── WorkitemRefused           what is not done to a work item as it is now
    │   │   ├── WorkitemIsFinal           it is completed or cancelled
    │   │   ├── WrongTransactionUID       the Transaction UID is not that of who has claimed it
    │   │   ├── WorkitemInProgress        it is claimed already
    │   │   ├── CannotBecomeScheduled     it is scheduled once, when it is created
    │   │   ├── FinalStateUnmet           an attribute is missing that it must have in the end
    │   │   ├── NoSuchWorkitem            there is none of this UID
    │   │   ├── UnknownReceiver           the AE that is to receive events is not known
    │   │   ├── NotScheduled              it was to be created in another state
    │   │   ├── WorkitemNotInProgress     nobody has claimed it
    │   │   ├── WorkitemIsCompleted       a request to cancel comes too late
    │   │   ├── PerformerUnreachable      nobody would hear of a request to cancel
    │   │   ├── PerformerContinues        who performs it does not cancel it
    │   │   └── ActionNotAppropriate      an action on an instance for which it is not meant
    │   ├── PrintRefused              what a Print SCU asks for, and what cannot be printed
    │   │   ├── EmptyFilmSession          a film session without a film box
    │   │   ├── PrintQueueFull            too many films wait for the printer
    │   │   │   └── FilmSessionQueueFull      for all films of a film session
    │   │   ├── ImageTooLarge             an image that is larger than its box, and must not be made smaller
    │   │   └── NoPrintMemory             more than is kept for a film session
    │   └── UnknownMoveDestination    a C-MOVE to an AE that is not configured
    ├── OutOfResources                no space, no memory, a limit reached
    ├── CannotCountMatches            the matches of a retrieve could not be determined
    ├── StoreFailure                  a volume failed
    │   └── DamagedObject             the bytes on disk are not the bytes received
    ├── IndexFailure                  the index failed
    │   ├── IndexLocked               it is rebuilt, restored or migrated, or was since it was opened
    │   └── IndexUnavailable          its database cannot be reached, or is too busy: later it may work
    │       └── UnknownOutcome        a change was made or not made, and nobody could be asked which
    ├── NotPart10                     a file is not in the DICOM file format
    ├── TransferSyntaxNotSupported    a transfer syntax that is not known here
    ├── CannotTranscode               pixel data that cannot be brought into another transfer syntax
    │   ├── WorkerDied                the process that did it has died
    │   └── WorkTooLong               it took longer than is allowed
    ├── WorkStopped                   nobody wants any longer what is being worked out
    ├── CannotProcess                 objects that cannot be processed in the way that was asked for
    │   ├── UnknownProcessingType         no type of processing has this name
    │   ├── UnusableParameters            parameters that the type does not have, or cannot use
    │   ├── IncompleteObjectSet           objects are missing: none at all, or one in between
    │   ├── MixedObjectSet                objects that do not belong together
    │   ├── ObjectTypeNotSupported        objects of a kind that the type does not process
    │   ├── ObjectNotReadable             damaged objects, or such that lack what the type needs
    │   ├── CommandFailed                 an external program did not do it
    │   ├── IrregularStack                slices that are no regular stack
    │   ├── TooLargeToProcess             it would need more memory or time, or more outputs, than is allowed
    │   └── ProcessingBroke               what computes has died again and again
    ├── CannotRender                  an object that cannot be shown as an image, or not as was asked for
    ├── NotMultiFrame                 an object whose frames make no new instance
    └── RemoteError                   a remote AE does not do its part
        ├── PrinterFailed             a printer does not answer, or breaks off
        │   └── PrinterRefused            it has taken nothing of a film, for certain
        ├── UnknownRemote             no such AE in config.ini
        ├── DestinationPaused         nothing is sent to it for a while
        ├── ConnectionFailed          no transport connection
        ├── AssociationRejected       the remote AE refused the association
        └── AssociationAborted        the association ended before the work did
            └── NoContextAccepted     the remote AE accepted nothing of what was proposed

No class holds a code: `services.responses` maps a class to a DIMSE status and `cli` to an exit code.
"""

from __future__ import annotations


class MedserverError(Exception):
    """Base of all errors that medserver raises on purpose."""


class ConfigError(MedserverError):
    """The configuration cannot be used.

    Parameters
    ----------
    problems : sequence of str
        Every mistake that was found, one line each.
    """

    def __init__(self, problems: list[str] | tuple[str, ...] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BadUsage(MedserverError):
    """A command line asks for something that cannot be done."""


class RequestError(MedserverError):
    """A request from a peer that is refused."""


class CannotUnderstand(RequestError):
    """Bytes that cannot be read as what they claim to be."""


class DataSetTooLarge(CannotUnderstand):
    """A data set is longer, or has more elements or levels of items, than the service reads."""


class DataSetMismatch(RequestError):
    """The data set does not match the command or the presentation context."""


class IdentifierMismatch(RequestError):
    """The identifier does not match the information model of the SOP class."""


class InvalidFrameRequest(RequestError):
    """None or several Frame Range Keys, or one that breaks its rules (PS3.4 Y.3.2)."""


class NoSuchFrames(RequestError):
    """None of the requested frames is in the SOP Instance."""


class NoFrameTimes(RequestError):
    """Frames are requested by time, and the SOP Instance does not tell their times."""


class ClassInstanceConflict(RequestError):
    """The instance of this UID is of another SOP class."""


class InvalidObjectInstance(RequestError):
    """A SOP Instance UID that violates the UID construction rules (PS3.5 9.1)."""


class SOPClassNotSupported(RequestError):
    """The SOP class is not served here."""


class DuplicateInstance(RequestError):
    """The SOP Instance is already stored with other content and `duplicates = reject`."""


class NoSuchInstance(RequestError):
    """The SOP Instance is not in the archive."""


class NotAuthorised(RequestError):
    """The calling AE may not use this service."""


class IdentityRefused(RequestError):
    """A user is named that is not known or does not prove it, or none where one has to be."""


class BadRequest(RequestError):
    """A parameter or payload of an HTTP request cannot be understood."""


class UnsupportedMediaType(RequestError):
    """The payload of a request is of a media type that is not understood."""


class NotAcceptable(RequestError):
    """No form of a resource that the user agent accepts can be sent (PS3.18 8.7.8.1)."""


class MixedMediaTypes(RequestError):
    """DICOM media types and rendered ones are asked for at the same time (PS3.18 8.7.5)."""


class UnrecognisedOperation(RequestError):
    """The DIMSE operation is not one of the SOP class."""


class NoSuchAction(RequestError):
    """The Action Type is not one of the SOP class."""


class NoSuchEventType(RequestError):
    """The Event Type is not one of the SOP class."""


class InvalidArgument(RequestError):
    """The information of an action or event is missing, cannot be read or has a wrong value."""


class MissingAttribute(RequestError):
    """An attribute list lacks an attribute that must be there."""


class MissingAttributeValue(MissingAttribute):
    """An attribute that must have a value is empty."""


class InvalidAttributeValue(RequestError):
    """An attribute has a value that it cannot have, or not now."""


class NoLongerUpdatable(RequestError):
    """A performed procedure step is completed or discontinued, and does not change any more."""


class WorkitemRefused(RequestError):
    """Something is not done to a work item as it is now."""


class WorkitemIsFinal(WorkitemRefused):
    """The work item is completed or cancelled, and does not change any more."""


class WrongTransactionUID(WorkitemRefused):
    """The Transaction UID of who has claimed the work item was not given."""


class WorkitemInProgress(WorkitemRefused):
    """The work item is claimed already."""


class CannotBecomeScheduled(WorkitemRefused):
    """A work item becomes SCHEDULED when it is created, and never again."""


class FinalStateUnmet(WorkitemRefused):
    """A work item lacks an attribute that it must have to become final."""


class NoSuchWorkitem(WorkitemRefused):
    """There is no work item of this UID."""


class UnknownReceiver(WorkitemRefused):
    """The AE that is to receive events is not configured with an address."""


class NotScheduled(WorkitemRefused):
    """A work item was to be created in another state than SCHEDULED, or claimed already."""


class WorkitemNotInProgress(WorkitemRefused):
    """The work item is not in progress: nobody has claimed it."""


class WorkitemIsCompleted(WorkitemRefused):
    """The work item that is to be cancelled is completed."""


class PerformerUnreachable(WorkitemRefused):
    """Nobody is subscribed to the work item who could be told that it is to be cancelled."""


class PerformerContinues(WorkitemRefused):
    """Who performs the work item does not cancel it."""


class ActionNotAppropriate(WorkitemRefused):
    """The action is not meant for this instance."""


class PrintRefused(RequestError):
    """A Print SCU asks for what is not printed."""


class EmptyFilmSession(PrintRefused):
    """The film session has no film box."""


class PrintQueueFull(PrintRefused):
    """Too many films wait for the printer."""


class FilmSessionQueueFull(PrintQueueFull):
    """Too many films wait for the printer to print a film session."""


class ImageTooLarge(PrintRefused):
    """The image is larger than its image box, and must not be made smaller; or it has too many pixels."""


class NoPrintMemory(PrintRefused):
    """There is no more room for the images of the film session."""


class UnknownMoveDestination(RequestError):
    """The Move Destination is not an AE of the configuration."""


class OutOfResources(MedserverError):
    """There is no space, memory or room within a limit."""


class CannotCountMatches(MedserverError):
    """The number of matches of a retrieve could not be determined."""


class StoreFailure(MedserverError):
    """A volume could not read or write an object."""


class DamagedObject(StoreFailure):
    """The bytes on disk are not the bytes that were received."""


class IndexFailure(MedserverError):
    """The index could not be read or written."""


class IndexLocked(IndexFailure):
    """The index is rebuilt, restored or migrated now, or was since this process opened it; later it may work."""


class IndexUnavailable(IndexFailure):
    """The database of the index cannot be reached or does not answer in time; the same may work later."""


class UnknownOutcome(IndexUnavailable):
    """The database went away while it committed: nobody knows yet whether the change was made."""


class NotPart10(MedserverError):
    """A file is not in the DICOM file format (PS3.10 7.1)."""


class TransferSyntaxNotSupported(MedserverError):
    """A transfer syntax that is not known here."""


class CannotTranscode(MedserverError):
    """Pixel data that cannot be brought into the transfer syntax that was asked for."""


class WorkerDied(CannotTranscode):
    """The process in which something was worked out has died; another one may do it."""


class WorkTooLong(CannotTranscode):
    """The time is over that something may take."""


class WorkStopped(MedserverError):
    """Nobody wants any longer what is being worked out."""


class CannotProcess(MedserverError):
    """Objects cannot be processed in the way that was asked for."""


class UnknownProcessingType(CannotProcess):
    """There is no type of processing with this name."""


class UnusableParameters(CannotProcess):
    """The type of processing does not have such a parameter, or cannot use its value."""


class IncompleteObjectSet(CannotProcess):
    """Objects are missing: there is none, or not all that the processing needs."""


class MixedObjectSet(CannotProcess):
    """Objects that do not belong together: of several patients, series, kinds or moments."""


class ObjectTypeNotSupported(CannotProcess):
    """Objects of a kind that this type of processing does not take."""


class ObjectNotReadable(CannotProcess):
    """An object is damaged, or lacks what the processing needs of it."""


class CommandFailed(CannotProcess):
    """An external program could not be started, or ended with an error."""


class IrregularStack(CannotProcess):
    """Slices that are not parallel, evenly spaced and in line."""


class TooLargeToProcess(CannotProcess):
    """The processing would need more memory, or make more, than is allowed."""


class ProcessingBroke(CannotProcess):
    """What computes, or its worker, has died again and again."""


class CannotRender(MedserverError):
    """An object that cannot be shown as an image, or not in the way that was asked for."""


class NotMultiFrame(MedserverError):
    """The object has no frames of which a new SOP Instance of its SOP class could be made."""


class RemoteError(MedserverError):
    """A remote AE does not do its part."""


class PrinterFailed(RemoteError):
    """A printer does not answer, or breaks off."""


class PrinterRefused(PrinterFailed):
    """A printer has taken nothing of a film, for certain."""


class UnknownRemote(RemoteError):
    """No AE of this name is configured."""


class DestinationPaused(RemoteError):
    """Nothing is sent to the remote AE for a while: it could not be reached, or failed too often."""


class ConnectionFailed(RemoteError):
    """No transport connection to the remote AE could be opened."""


class AssociationRejected(RemoteError):
    """The remote AE refused the association.

    Parameters
    ----------
    result, source, reason : int
        The fields of the A-ASSOCIATE-RJ (PS3.8 9.3.4).
    message : str
        The same in words.
    """

    def __init__(self, result: int, source: int, reason: int, message: str) -> None:
        self.result, self.source, self.reason = result, source, reason
        super().__init__(message)


class AssociationAborted(RemoteError):
    """The association ended before the work was done."""


class NoContextAccepted(AssociationAborted):
    """The remote AE accepted none of the proposed presentation contexts."""
